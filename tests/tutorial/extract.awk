# Takes the programs out of a Markdown page: a block ```cpp whose first line is `// NAME.cpp` becomes
# FOLDER/NAME.cpp, and the block ```text that follows it FOLDER/NAME.txt, what it prints. Prints the names.
#   awk -v folder=FOLDER -f extract.awk PAGE

function fail(message) {
  printf "%s:%d: %s\n", FILENAME, FNR, message > "/dev/stderr"
  failed = 1
  exit 1
}

!language && /^```[a-z]/ {
  language = substr($0, 4)
  first = 1
  if (language == "cpp" && name != "") fail("no ```text block says what " name ".cpp prints")
  if (language == "text" && name != "") file = folder "/" name ".txt"
  if (file != "") printf "" > file
  next
}
/^```$/ {
  if (file != "") close(file)
  if (language == "text") name = ""
  language = file = ""
  next
}
language == "cpp" && first {
  if ($0 !~ /^\/\/ [a-z_]+\.cpp$/) fail("the first line of a program is // NAME.cpp")
  name = substr($2, 1, length($2) - 4)
  if (name in seen) fail("there are two programs " name ".cpp")
  seen[name] = 1
  file = folder "/" name ".cpp"
  print name
}
{ first = 0 }
file != "" { print > file }

END {
  if (!failed && name != "") fail("no ```text block says what " name ".cpp prints")
  if (!failed && language != "") fail("a block is not closed")
}
