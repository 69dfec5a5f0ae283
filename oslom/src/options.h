// The command line (README.md, "Command line"): flags in any order, the last one wins, every value checked.
#ifndef OSLOM_OPTIONS_H
#define OSLOM_OPTIONS_H

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include "error.h"
#include "graph.h"
#include "number_text.h"

namespace oslom {

constexpr const char* version_number = "0.3.0";

struct Options {
  std::string edge_file;
  bool weighted = false;
  bool weighted_given = false;  // -w or -uw was there
  std::int64_t runs = 10;
  std::int64_t higher_runs = 50;
  std::int64_t seed = 21111983;
  double tolerance = 0.1;
  double parts_cover = 0.5;
  bool keep_homeless = false;
  bool fast = false;
  std::string hint_file, load_file;
  std::int64_t louvain = 0;
  std::int64_t threads = 0;  // 0: all cores
  std::string output_folder;
  bool quiet = false;
  bool help = false;
  bool version = false;
};

inline std::string help_text() {
  return std::string("usage: ") + program_name +
         " -f FILE (-uw | -w) [options]\n"
         "\n"
         "Finds statistically significant, possibly overlapping communities of " +
         (directed ? "a directed" : "an undirected") +
         " graph and\n"
         "writes them to the folder FILE_oslo_files (file tp; tp1, tp2, ... higher levels). The method is OSLOM: "
         "Lancichinetti,\n"
         "Radicchi, Ramasco, Fortunato, PLoS ONE 6(4): e18961, 2011.\n"
         "\n"
         "  -f FILE      edge list: two vertex ids per line, then optional columns; - is standard input\n"
         "  -uw          unweighted: a third column is the number of parallel edges\n"
         "  -w           weighted: the third column is the weight, a fourth the number of parallel edges\n"
         "  -r R         number of runs that are pooled, 0 to 100000 (default 10)\n"
         "  -hr R        number of runs for each higher level, where modules are grouped (default 50)\n"
         "  -seed S      seed of the random numbers, 1 to 2147483399 (default 21111983)\n"
         "  -t P         tolerance: a group is significant below this probability (default 0.1)\n"
         "  -cp C        parts covering more than this share of a group replace it; larger values give\n"
         "               larger groups (default 0.5)\n"
         "  -singlet     leave homeless vertices alone; forced assignment goes to tp_without_singletons\n"
         "  -fast        one run, whatever -r and -hr say\n"
         "  -hint FILE   one more cover from groups in a file, one group of ids per line; they are cleaned\n"
         "  -load FILE   one more cover from a file in tp format, as it is\n"
         "  -louvain N   N more covers that start from partitions of high modularity (default 0)\n"
         "  -threads N   number of threads (default: all cores); the output does not depend on it\n"
         "  -out DIR     output folder (default FILE_oslo_files)\n"
         "  -quiet       print nothing but warnings and errors\n"
         "  -h, --help   this text\n"
         "  --version    the version\n"
         "\n"
         "Exit code: 0 done (also when nothing was found), 255 error (one sentence on stderr).\n";
}

class OptionReader {
 public:
  explicit OptionReader(const std::vector<std::string>& arguments) : arguments_(arguments) {}

  Options read() {
    for (; at_ < arguments_.size(); ++at_) read_flag(arguments_[at_]);
    if (options_.help || options_.version) return options_;
    if (options_.edge_file.empty()) throw Error("the edge file is missing: -f FILE");
    if (!options_.weighted_given) throw Error("say whether the edges have weights: -w (weighted) or -uw (unweighted)");
    if (options_.fast) options_.runs = options_.higher_runs = 1;
    return options_;
  }

 private:
  static constexpr std::int64_t most_runs = 100000;  // all their covers are kept until they are pooled
  static constexpr std::int64_t largest_seed = 2147483399;
  static constexpr const char* flags[] = {"-f",     "-w",       "-uw",   "-r",     "-hr",   "-seed",    "-t",
                                          "-cp",    "-singlet", "-fast", "-hint",  "-load", "-louvain", "-infomap",
                                          "-copra", "-threads", "-out",  "-quiet", "-h",    "--help",   "--version"};

  static bool is_flag(const std::string& text) {
    return std::find(std::begin(flags), std::end(flags), text) != std::end(flags);
  }

  void read_flag(const std::string& flag) {
    if (!is_flag(flag)) refuse(flag);
    if (flag == "-f") options_.edge_file = file(flag);
    else if (flag == "-w" || flag == "-uw") options_.weighted = flag == "-w", options_.weighted_given = true;
    else if (flag == "-r") options_.runs = whole(flag, 0);
    else if (flag == "-hr") options_.higher_runs = whole(flag, 0);
    else if (flag == "-seed") options_.seed = whole(flag, 1, largest_seed);
    else if (flag == "-t") options_.tolerance = share(flag);
    else if (flag == "-cp") options_.parts_cover = share(flag);
    else if (flag == "-singlet") options_.keep_homeless = true;
    else if (flag == "-fast") options_.fast = true;
    else if (flag == "-hint") options_.hint_file = file(flag);
    else if (flag == "-load") options_.load_file = file(flag);
    else if (flag == "-louvain") options_.louvain = whole(flag, 0);
    else if (flag == "-infomap" || flag == "-copra") refuse_external(flag);
    else if (flag == "-threads") options_.threads = whole(flag, 1, 4096);
    else if (flag == "-out") options_.output_folder = value(flag);
    else if (flag == "-quiet") options_.quiet = true;
    else if (flag == "-h" || flag == "--help") options_.help = true;
    else options_.version = true;
  }

  [[noreturn]] static void refuse(const std::string& flag) {
    throw Error("unknown option " + shown(flag) + "; --help lists the options");
  }

  // 0 runs of an external program are no runs at all, as in the original program.
  void refuse_external(const std::string& flag) {
    if (whole(flag, 0) > 0)
      throw Error(
          flag +
          " is not supported: no external programs are started; run it yourself and give its groups with -hint FILE");
  }

  const std::string& value(const std::string& flag) {
    if (at_ + 1 >= arguments_.size() || arguments_[at_ + 1].empty()) throw Error(flag + " needs a value");
    const std::string& text = arguments_[++at_];
    if (is_flag(text))
      throw Error(flag + " needs a value, got the option " + text + " (a file of this name is ./" + text + ")");
    return text;
  }

  std::string file(const std::string& flag) {
    const std::string& name = value(flag);
    return name == "-" ? "/dev/stdin" : name;
  }

  std::int64_t whole(const std::string& flag, std::int64_t smallest, std::int64_t largest = most_runs) {
    const std::string& text = value(flag);
    std::int64_t number = 0;
    if (read_whole(text, number) == WholeNumber::good && number >= smallest && number <= largest) return number;
    throw Error(flag + " needs a whole number from " + std::to_string(smallest) + " to " + std::to_string(largest) +
                ", got " + shown(text));
  }

  double share(const std::string& flag) {
    const std::string& text = value(flag);
    double number = 0;
    if (read_real(text, number) && number >= 0 && number <= 1) return number;
    throw Error(flag + " needs a number from 0 to 1, got " + shown(text));
  }

  const std::vector<std::string>& arguments_;
  std::size_t at_ = 0;
  Options options_;
};

}  // namespace oslom

#endif  // OSLOM_OPTIONS_H
