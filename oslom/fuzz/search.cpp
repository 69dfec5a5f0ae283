// Fuzz target: any bytes as a small graph, from the edge file to the texts of the output folder. Every level is
// made of sorted groups of its vertices with probabilities, every vertex is in tp, and tp can be read again.
//
// The first byte holds the options, then four bytes an edge: two vertices, multiplicity, weight.
#include <cmath>
#include <cstdio>
#include <sstream>

#include "edge_reader.h"
#include "hierarchy.h"
#include "level_files.h"
#include "member_scores.h"
#include "partition_reader.h"
#include "require.h"

namespace {

using namespace oslom;

constexpr std::size_t most_edges = 120;
constexpr int most_vertices = 30;

std::string edge_text(const std::uint8_t* bytes, bool weighted) {
  static const char* multiplicities[] = {"1", "1", "1", "1", "2", "3", "7", "1000"};
  static const char* scales[] = {"1", "0.01", "1e3", "1e150", "1e-150", "1e15", "1e-15", "1"};
  std::string text = std::to_string(bytes[0] % most_vertices) + " " + std::to_string(bytes[1] % most_vertices);
  char weight[40];
  std::snprintf(weight, sizeof weight, " %.17g",
                std::fmin(1e150, (1 + bytes[3] / 8) * std::atof(scales[bytes[3] % 8])));
  if (weighted) text += weight;
  return text + " " + multiplicities[bytes[2] % 8] + "\n";
}

std::string graph_text(const std::uint8_t* data, std::size_t size, bool weighted) {
  std::string text;
  for (std::size_t edge = 0; edge < most_edges && 4 * edge + 5 <= size; ++edge)
    text += edge_text(data + 4 * edge + 1, weighted);
  return text;
}

void require_modules(const Modules& modules, std::size_t num_vertices) {
  for (const Module& module : modules) {
    require(module.probability >= 0 && module.probability <= 1, "bs is a probability");
    require(!module.members.empty() && module.members.front() >= 0, "modules have members");
    require(static_cast<std::size_t>(module.members.back()) < num_vertices, "members are vertices");
    for (std::size_t i = 1; i < module.size(); ++i)
      require(module.members[i - 1] < module.members[i], "members increase");
  }
}

void require_levels(const std::vector<Level>& levels, std::size_t num_vertices) {
  std::size_t below = num_vertices;
  for (const Level& level : levels) {
    require_modules(level.result.final_cover, below);
    require_modules(level.in_input, num_vertices);
    require(homeless_vertices(level.in_input, num_vertices).size() <= num_vertices, "homeless vertices are vertices");
    below = level.in_input.size();
  }
  std::vector<char> listed(num_vertices, 0);
  for (const Module& module : levels[0].result.final_cover)
    for (Vertex v : module.members) listed[v] = 1;
  for (char is_there : listed) require(is_there, "every vertex is in tp");
}

void require_texts(const InputGraph& input, const std::vector<Level>& levels, bool keep_homeless) {
  OutputFolder folder("o");
  add_levels(folder, input.graph, levels, input.ids, keep_homeless);
  for (const auto& [name, text] : folder.files()) {
    require(OutputFolder::known_name(name), "files have names of ours");
    require(text.find("nan") == std::string::npos && text.find("inf") == std::string::npos, "numbers are finite");
  }
  const std::string tp = tp_text(levels[0].result.final_cover, input.ids);
  PartitionReader("p", "file", input.ids).read_tp(std::istringstream(tp));
}

void search(const InputGraph& input, bool keep_homeless, bool louvain) {
  HierarchyPlan plan{{}, 1, 1};
  plan.first.runs = 1;
  plan.first.keep_homeless = keep_homeless;
  plan.first.louvain = louvain;
  const Parameters parameters{0.1, 0.5};
  Hierarchy hierarchy(input.graph, parameters, plan, 1);
  const std::vector<Level> levels = hierarchy.search();
  require_levels(levels, input.ids.size());
  require_texts(input, levels, keep_homeless);
  const Modules& modules = levels[0].result.final_cover;
  const std::string scores =
      scores_text(modules, member_scores(input.graph, modules, hierarchy.log_factorial()), input.ids);
  require(scores.find("nan") == std::string::npos && scores.find("inf") == std::string::npos, "scores are finite");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bool weighted = data[0] & 1;
  try {
    const std::string text = graph_text(data, size, weighted);
    const InputGraph input = EdgeReader("g", weighted).read(std::istringstream(text));
    search(input, data[0] & 2, data[0] & 4);
  } catch (const Error& error) {
    require_one_sentence(error.what());
  }
  return 0;
}
