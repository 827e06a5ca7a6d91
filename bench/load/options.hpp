// What the load generator is told to do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bench::load {

struct Options {
  enum class Mode { echo, http, idle, first };

  Mode mode = Mode::echo;
  uint32_t address = 0x7F000001;  // of the server, IPv4
  uint16_t port = 0;
  uint32_t connections = 100;  // active ones
  uint32_t idle = 10'000;      // idle: how many are held open beside the active ones
  uint32_t pipeline = 1;       // http: requests sent at once on a connection
  uint32_t bytes = 512;        // echo: size of a message
  std::string path = "/plaintext";
  int64_t body_bytes = -1;           // http: the length each body must have; -1: that of the first
  double seconds = 2;                // measured, at most
  double warmup = 0.3;               // before that, not measured
  uint64_t requests = 0;             // measured, at most; 0: no bound but the time
  int server_pid = 0;                // whose CPU time (with its children's) is charged; 0: nobody's
  bool spin = false;                 // poll for completions instead of sleeping
  uint32_t runs = 10;                // first: how often
  std::vector<std::string> command;  // first: what to start; {port} is replaced
};

// Ends the process with a message when the words make no sense.
Options parse(int count, char** words);

}  // namespace bench::load
