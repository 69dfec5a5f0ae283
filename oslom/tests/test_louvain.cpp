#include "doctest/doctest.h"
#include "example_graphs.h"
#include "louvain.h"

using namespace oslom;

namespace {

// From the definition, pair by pair.
double direct_modularity(const Graph& graph, const std::vector<Members>& groups) {
  double total = 0, sum = 0;
  std::vector<double> strength(static_cast<std::size_t>(graph.num_vertices()), 0);
  for (Vertex v = 0; v < graph.num_vertices(); ++v)
    for (auto link = graph.first_link(v); link < graph.end_link(v); ++link)
      strength[v] += graph.weight(link), total += graph.weight(link);
  for (const Members& group : groups)
    for (Vertex a : group)
      for (Vertex b : group) {
        for (auto link = graph.first_link(a); link < graph.end_link(a); ++link)
          if (graph.target(link) == b) sum += graph.weight(link) / total;
        sum -= strength[a] * strength[b] / (total * total);
      }
  return sum;
}

}  // namespace

TEST_CASE("cliques in a ring are the communities") {
  std::vector<Members> groups = louvain_partition(ring_of_cliques(8, 6), Random(1));
  std::sort(groups.begin(), groups.end());
  REQUIRE(groups.size() == 8);
  for (Vertex i = 0; i < 8; ++i) CHECK(groups[i] == range(6 * i, 6 * i + 6));
}

TEST_CASE("every vertex once; modularity equals its definition and beats the planted blocks' neighbourhood") {
  Random random(41);
  for (bool weighted : {false, true}) {
    const Graph graph = random_graph(120, 500, weighted, random);
    const std::vector<Members> groups = louvain_partition(graph, Random(2));
    std::vector<int> count(120, 0);
    for (const Members& group : groups)
      for (Vertex v : group) ++count[v];
    CHECK(std::all_of(count.begin(), count.end(), [](int c) { return c == 1; }));
    CHECK(Louvain::modularity(graph, groups) == doctest::Approx(direct_modularity(graph, groups)));
    std::vector<Members> blocks;
    for (Vertex first = 0; first < 120; first += 10) blocks.push_back(range(first, first + 10));
    CHECK(Louvain::modularity(graph, groups) > Louvain::modularity(graph, blocks) - 0.03);
    CHECK(louvain_partition(graph, Random(2)) == groups);
  }
}

TEST_CASE("no edges: every vertex by itself") { CHECK(louvain_partition(graph_of(3, {}), Random(1)).size() == 3); }
