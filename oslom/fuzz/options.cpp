// Fuzz target: any bytes as a command line, one argument per line. What is accepted keeps the limits of
// --help and is the same when it is written out in full; what is refused gets one sentence.
#include <cstdio>

#include "options.h"
#include "require.h"

namespace {

using namespace oslom;

using Arguments = std::vector<std::string>;

Arguments arguments_of(const std::string& text) {
  Arguments arguments;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    arguments.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return arguments;
}

bool within(double value, double smallest, double largest) { return smallest <= value && value <= largest; }

void require_limits(const Options& options) {
  for (const std::string& name : {options.edge_file, options.hint_file, options.load_file, options.output_folder})
    require(name != "-w" && name != "-singlet" && name != "--help", "no file is called like an option");
  require(!options.edge_file.empty() && options.weighted_given, "what is needed is there");
  for (std::int64_t count : {options.runs, options.higher_runs, options.louvain})
    require(within(count, 0, 100000), "counts are in range");
  require(within(options.seed, 1, 2147483399) && within(options.threads, 0, 4096), "seed and threads are in range");
  require(within(options.tolerance, 0, 1) && within(options.parts_cover, 0, 1), "shares are shares");
}

std::string exact(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

Arguments written(const Options& options) {
  // clang-format off
  Arguments arguments{"-f", options.edge_file, options.weighted ? "-w" : "-uw", "-r", std::to_string(options.runs),
                      "-hr", std::to_string(options.higher_runs), "-seed", std::to_string(options.seed),
                      "-t", exact(options.tolerance), "-cp", exact(options.parts_cover),
                      "-louvain", std::to_string(options.louvain)};
  // clang-format on
  const auto add = [&](const char* flag, const std::string& value) {
    if (!value.empty()) arguments.insert(arguments.end(), {flag, value});
  };
  add("-hint", options.hint_file);
  add("-load", options.load_file);
  add("-out", options.output_folder);
  add("-threads", options.threads > 0 ? std::to_string(options.threads) : "");
  if (options.keep_homeless) arguments.push_back("-singlet");
  if (options.fast) arguments.push_back("-fast");
  if (options.quiet) arguments.push_back("-quiet");
  return arguments;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Arguments arguments = arguments_of(std::string(reinterpret_cast<const char*>(data), size));
  try {
    const Options options = OptionReader(arguments).read();
    if (options.help || options.version) return 0;
    require_limits(options);
    const Arguments full = written(options);
    require(written(OptionReader(full).read()) == full, "options are read again");
  } catch (const Error& error) {
    require_one_sentence(error.what());
  }
  return 0;
}
