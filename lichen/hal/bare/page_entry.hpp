// The processor's entries of page tables, and its address space. Private to hal.
#pragma once

// The build selects it with the world.
#ifndef LICHEN_PAGE_ENTRY_HEADER
#define LICHEN_PAGE_ENTRY_HEADER "lichen/hal/x86_64/page_entry.hpp"
#endif
#include LICHEN_PAGE_ENTRY_HEADER
