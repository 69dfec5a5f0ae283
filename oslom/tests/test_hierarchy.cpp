#include "doctest/doctest.h"
#include "example_graphs.h"
#include "hierarchy.h"
#include "level_files.h"

using namespace oslom;

namespace {

std::vector<Level> levels_of(const Graph& graph, std::int64_t higher_runs, int threads = 1) {
  const Parameters parameters;
  HierarchyPlan plan;
  plan.first.runs = 2;
  plan.first.keep_homeless = true;
  plan.higher_runs = higher_runs;
  plan.threads = threads;
  return Hierarchy(graph, parameters, plan, 5).search();
}

// Groups of cliques: within a group neighbouring cliques share many edges, groups share one.
Graph two_level_graph() {
  constexpr Vertex groups = 8, cliques = 6, size = 8, block = cliques * size;
  Random random(31);
  std::vector<Edge> edges;
  for (Vertex a = 0; a < groups * block; ++a)
    for (Vertex b = a + 1; b < groups * block; ++b) {
      const double p = a / size == b / size ? 1 : a / block == b / block ? 0.06 : 0.0005;
      if (random.uniform() < p) edges.push_back({a, b, 1, 1.0});
    }
  return graph_of(groups * block, edges);
}

}  // namespace

TEST_CASE("two planted levels: cliques, then groups of cliques") {
  const std::vector<Level> levels = levels_of(two_level_graph(), 5);
  REQUIRE(levels.size() >= 2);
  CHECK(levels[0].result.final_cover.size() == 48);
  REQUIRE(levels[1].merged);
  std::size_t whole_groups = 0;
  for (const Module& module : levels[1].in_input)
    whole_groups += module.size() == 48 && module.members.back() - module.members.front() == 47;
  CHECK(whole_groups >= 6);
}

TEST_CASE("modules of every level cover all vertices and are unions of modules below") {
  const std::vector<Level> levels = levels_of(two_level_graph(), 5);
  for (std::size_t i = 0; i < levels.size(); ++i) {
    CHECK(union_of(member_lists(levels[i].in_input)).size() == 384);
    REQUIRE(levels[i].in_input.size() == levels[i].result.final_cover.size());
    for (std::size_t m = 0; i > 0 && m < levels[i].in_input.size(); ++m) {
      std::vector<const Members*> parts;
      for (Vertex part : levels[i].result.final_cover[m].members)
        parts.push_back(&levels[i - 1].in_input[part].members);
      CHECK(union_of(parts) == levels[i].in_input[m].members);
    }
  }
}

TEST_CASE("no runs at higher levels: one level that merges nothing") {
  const std::vector<Level> levels = levels_of(ring_of_cliques(12, 6), 0);
  REQUIRE(levels.size() == 2);
  CHECK(levels[1].result.covers.empty());
  CHECK_FALSE(levels[1].merged);
  CHECK(levels[1].in_input.size() == 12);
}

TEST_CASE("a graph without modules has one level; two modules are the end") {
  std::vector<Edge> star;
  for (Vertex v = 1; v < 10; ++v) star.push_back({0, v, 1, 1.0});
  CHECK(levels_of(graph_of(10, star), 3).size() == 1);
  CHECK(levels_of(ring_of_cliques(2, 8), 3).size() == 1);
}

TEST_CASE("files of the levels: names and contents; threads change no byte") {
  const Graph graph = two_level_graph();
  Ids ids(384);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = 1000 + static_cast<std::int64_t>(i);
  std::vector<std::pair<std::string, std::string>> first;
  for (int threads : {1, 3}) {
    OutputFolder folder("unused");
    add_levels(folder, graph, levels_of(graph, 3, threads), ids, true);
    if (threads == 1) first = folder.files();
    CHECK(folder.files() == first);
  }
  const auto text = [&](const std::string& name) {
    for (const auto& file : first)
      if (file.first == name) return file.second;
    return std::string("no such file");
  };
  for (const auto& file : first) CHECK(OutputFolder::known_name(file.first));
  CHECK(text("tp1").compare(0, 9, "#module 0") == 0);
  CHECK(text("tp1").find("\n1000 1001 1002 ") != std::string::npos);
  CHECK(text("short_tp1").compare(0, 9, "#module 0") == 0);
  const std::string statistics = text("statistics_level_1.dat");
  CHECK(std::count(statistics.begin(), statistics.end(), '\n') == 4);
  CHECK(text("net1").compare(0, 2, "0\t") == 0);
  CHECK(text("partitions_level_1") != "no such file");
}
