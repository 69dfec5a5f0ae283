// Runs a fuzz target on given files, without a fuzzer: found cases stay tested with any compiler.
#include <fstream>
#include <sstream>

#include "require.h"

int main(int count, char** names) {
  for (int i = 1; i < count; ++i) {
    std::ifstream file(names[i], std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    oslom::require(file.good(), names[i]);
    const std::string bytes = text.str();
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  }
  std::printf("%s: %d cases\n", names[0], count - 1);
}
