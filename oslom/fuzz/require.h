// What the fuzz targets share: the entry point, a check that stays in every build, and what a message must look like.
#ifndef OSLOM_FUZZ_REQUIRE_H
#define OSLOM_FUZZ_REQUIRE_H

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace oslom {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

// Printable ASCII on one line: file names are plain here, and pieces of the input are shown in ASCII.
inline void require_one_sentence(const std::string& message) {
  require(!message.empty() && message.size() < 400, "a message is one short sentence");
  for (char c : message) require(c >= ' ' && c <= '~', "a message is printable");
}

}  // namespace oslom

#endif  // OSLOM_FUZZ_REQUIRE_H
