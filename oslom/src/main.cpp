// oslom_undir and oslom_dir: from the command line to the output folder. The only file that uses the standard
// streams and decides exit codes: 0 done, 255 any error.
#include <csignal>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "edge_reader.h"
#include "hierarchy.h"
#include "level_files.h"
#include "member_scores.h"
#include "options.h"
#include "partition_reader.h"
#include "progress.h"

namespace {

using namespace oslom;

constexpr int exit_good = 0, exit_error = 255;

void warn(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) std::cerr << program_name << ": warning: " << warning << "\n";
}

std::string modules(const Summary& summary) { return counted(summary.modules, "module", "modules"); }

void report(const Graph& graph, const std::vector<Level>& levels, const std::string& folder) {
  const Summary summary = summary_of(levels[0].result.final_cover, graph.num_vertices());
  std::cout << counted(static_cast<std::size_t>(graph.num_vertices()), "vertex", "vertices") << ", "
            << counted(graph.num_edges(), edge_name, edge_name + std::string("s")) << ": " << modules(summary) << ", "
            << counted(summary.homeless.size(), "homeless vertex", "homeless vertices");
  for (std::size_t i = 1; i < levels.size(); ++i)
    if (levels[i].merged)
      std::cout << "; level " << i << ": " << modules(summary_of(levels[i].in_input, graph.num_vertices()));
  std::cout << "; written to " << folder << "\n";
}

LevelPlan first_level(const Options& options, const Ids& ids) {
  LevelPlan plan;
  plan.runs = options.runs;
  plan.keep_homeless = options.keep_homeless;
  plan.louvain = options.louvain;
  if (!options.hint_file.empty()) {
    PartitionReader reader(options.hint_file, "hint file", ids);
    plan.hint = reader.read_hint();
    warn(reader.warnings());
  }
  if (!options.load_file.empty()) {
    PartitionReader reader(options.load_file, "file to load", ids);
    plan.load = reader.read_tp();
    warn(reader.warnings());
  }
  return plan;
}

int threads_for(const Options& options) {
  return static_cast<int>(options.threads > 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency()));
}

// The thread of the progress line has ended before files are written: a signal that is held back then would find it.
std::vector<Level> levels_of(Hierarchy& hierarchy, const Options& options) {
  if (options.quiet || !isatty(STDERR_FILENO)) return hierarchy.search();
  ProgressLine line(std::cerr);
  hierarchy.watch([&](auto level, auto done, auto runs) { line.run_done(level, done, runs); },
                  [&](auto done, auto parts) { line.part_done(done, parts); });
  return hierarchy.search();
}

void search(const Options& options) {
  OutputFolder folder(options.output_folder.empty() ? folder_beside(options.edge_file) : options.output_folder,
                      {options.edge_file, options.hint_file, options.load_file});
  const InputGraph input = EdgeReader(options.edge_file, options.weighted).read_file();
  warn(input.warnings);
  folder.check();
  const Parameters parameters{options.tolerance, options.parts_cover};
  const HierarchyPlan plan{first_level(options, input.ids), options.higher_runs, threads_for(options)};
  Hierarchy hierarchy(input.graph, parameters, plan, static_cast<std::uint64_t>(options.seed));
  const std::vector<Level> levels = levels_of(hierarchy, options);
  add_levels(folder, input.graph, levels, input.ids, options.keep_homeless);
  const Modules& found = levels[0].result.final_cover;
  folder.add("tp_scores", scores_text(found, member_scores(input.graph, found, hierarchy.log_factorial()), input.ids));
  folder.write();
  if (!options.quiet) report(input.graph, levels, folder.path());
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    std::cerr << help_text();
    return exit_error;
  }
  const Options options = OptionReader(arguments).read();
  if (options.help) std::cout << help_text();
  else if (options.version) std::cout << program_name << " " << version_number << "\n";
  else search(options);
  return exit_good;
}

}  // namespace

int main(int count, char** values) {
  // What cannot be written is an error like others: a pipe that was closed, a file that got too large.
  for (const int signal : {SIGPIPE, SIGXFSZ}) std::signal(signal, SIG_IGN);
  try {
    return run(std::vector<std::string>(values + 1, values + count));
  } catch (const std::bad_alloc&) {
    std::cerr << program_name << ": not enough memory for this graph\n";
  } catch (const std::exception& error) {
    std::cerr << program_name << ": " << error.what() << "\n";
  }
  return exit_error;
}
