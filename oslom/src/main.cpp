// oslom_undir: from the command line to the output folder. The only file that uses the standard
// streams and decides exit codes: 0 done, 255 any error.
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include "edge_reader.h"
#include "options.h"
#include "output_folder.h"
#include "search.h"
#include "tp_file.h"

namespace {

using namespace oslom;

constexpr int exit_good = 0, exit_error = 255;

void report(const Graph& graph, const Modules& modules, const std::string& folder) {
  const Summary summary = summary_of(modules, graph.num_vertices());
  std::cout << graph.num_vertices() << " vertices, " << graph.num_edges() << " edges: " << summary.modules
            << " modules, " << summary.homeless.size() << " homeless vertices; written to " << folder << "\n";
}

void fill(OutputFolder& folder, Study& study, const LevelResult& result, const Options& options, const Ids& ids) {
  folder.add("partitions_level_0", covers_text(result.covers, ids));
  folder.add("statistics_level_0.dat", statistics_text(study.graph, result.final_cover));
  if (options.keep_homeless) folder.add("tp_without_singletons", tp_text(result.without_singletons, ids));
  folder.add("tp_scores", scores_text(study, result.final_cover, ids));
  folder.add("tp", tp_text(result.final_cover, ids));
}

void search(const Options& options) {
  const InputGraph input = EdgeReader(options.edge_file, options.weighted).read_file();
  for (const std::string& warning : input.warnings) std::cerr << "oslom_undir: warning: " << warning << "\n";
  OutputFolder folder(options.edge_file);
  folder.check();
  if (options.higher_runs_given && options.higher_runs > 0 && !options.fast)
    std::cerr << "oslom_undir: higher levels (-hr) are not computed yet.\n";
  const Parameters parameters{options.tolerance, options.parts_cover};
  const LogFactorial log_factorial(std::max<std::int64_t>(input.graph.total_stubs(), input.graph.num_vertices()) + 1);
  Probabilities probabilities(parameters, log_factorial);
  Study study(input.graph, parameters, probabilities);
  const Random random = Random(static_cast<std::uint64_t>(options.seed)).child(Phase::level, 0);
  const LevelResult result = search_level(study, {options.runs, options.keep_homeless}, random);
  fill(folder, study, result, options, input.ids);
  folder.write();
  report(input.graph, result.final_cover, folder.path());
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    std::cerr << help_text();
    return exit_error;
  }
  const Options options = OptionReader(arguments).read();
  if (options.help) std::cout << help_text();
  else if (options.version) std::cout << version_text << "\n";
  else search(options);
  return exit_good;
}

}  // namespace

int main(int count, char** values) {
  try {
    return run(std::vector<std::string>(values + 1, values + count));
  } catch (const std::bad_alloc&) {
    std::cerr << "oslom_undir: not enough memory for this graph\n";
  } catch (const std::exception& error) {
    std::cerr << "oslom_undir: " << error.what() << "\n";
  }
  return exit_error;
}
