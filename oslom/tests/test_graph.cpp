#include "doctest/doctest.h"
#include "example_graphs.h"
#include "module_graph.h"
#include "subgraph.h"

using namespace oslom;
using doctest::Approx;

TEST_CASE("degrees, strengths and total stubs of a triangle with one double edge") {
  const Graph graph = graph_of(4, {{0, 1, 2, 3.0}, {0, 2, 1, 1.0}, {1, 2, 1, 0.5}}, true);
  CHECK(graph.num_edges() == 3);
  CHECK(graph.total_stubs() == 8);
  CHECK(graph.degree(0) == 3);
  CHECK(graph.strength(0) == Approx(4));
  CHECK(graph.degree(3) == 0);
}

TEST_CASE("normalised weights: w over the harmonic mean of the weights per stub") {
  const Graph graph = graph_of(3, {{0, 1, 2, 3.0}, {0, 2, 1, 1.0}, {1, 2, 1, 0.5}}, true);
  const double per_stub_0 = 4.0 / 3, per_stub_1 = 3.5 / 3;
  const double expected = 2 * 2 / (1 / per_stub_0 + 1 / per_stub_1);
  CHECK(graph.target(graph.first_link(0)) == 1);
  CHECK(graph.normalised_weight(graph.first_link(0)) == Approx(3.0 / expected));
}

TEST_CASE("equal weights normalise to one") {
  const Graph graph = graph_of(3, {{0, 1, 1, 7.0}, {0, 2, 1, 7.0}, {1, 2, 1, 7.0}}, true);
  for (Graph::LinkIndex link = 0; link < 6; ++link) CHECK(graph.normalised_weight(link) == Approx(1));
}

TEST_CASE("rows are sorted") {
  Random random(11);
  const Graph graph = random_graph(50, 200, false, random);
  for (Vertex v = 0; v < 50; ++v)
    for (auto link = graph.first_link(v) + 1; link < graph.end_link(v); ++link)
      CHECK(graph.target(link - 1) < graph.target(link));
}

TEST_CASE("an induced subgraph has the edges between its members and its own normalisation") {
  const Graph graph = graph_of(5, {{0, 1, 1, 1.0}, {1, 2, 3, 2.0}, {2, 4, 1, 4.0}, {3, 4, 1, 1.0}}, true);
  StampedMap map(5);
  const Graph part = induced_subgraph(graph, {1, 2, 4}, map);
  CHECK(part.num_vertices() == 3);
  CHECK(part.num_edges() == 2);
  CHECK(part.total_stubs() == 8);
  CHECK(part.strength(1) == Approx(6));
  CHECK(part.target(part.first_link(2)) == 1);
}

TEST_CASE("stamped marks are all cleared at once") {
  StampedMap map(3);
  map.set(1, 7);
  CHECK(map.contains(1));
  CHECK(map[1] == 7);
  CHECK_FALSE(map.contains(0));
  map.clear();
  CHECK_FALSE(map.contains(1));
}

TEST_CASE("the graph of modules equals a double loop over all pairs of vertices") {
  Random random(12);
  for (bool weighted : {false, true}) {
    const Graph graph = random_graph(40, 160, weighted, random);
    const std::vector<Members> groups{range(0, 12), range(8, 20), range(20, 21), {5, 25, 26, 27, 39}, range(28, 36)};
    std::vector<const Members*> lists;
    for (const Members& group : groups) lists.push_back(&group);
    const auto modules_of = memberships(lists, 40);
    std::vector<Edge> plain;
    for (std::size_t a = 0; a < groups.size(); ++a)
      for (std::size_t b = a + 1; b < groups.size(); ++b) {
        double stubs = 0, weight = 0;
        for (Vertex i : groups[a])
          for (Vertex j : groups[b])
            for (auto link = graph.first_link(i); link < graph.end_link(i); ++link)
              if (graph.target(link) == j) {
                const double share = 1.0 / static_cast<double>(modules_of[i].size() * modules_of[j].size());
                stubs += share * static_cast<double>(graph.multiplicity(link));
                weight += share * graph.weight(link);
              }
        if (stubs >= 0.5)
          plain.push_back({static_cast<Vertex>(a), static_cast<Vertex>(b), static_cast<Stubs>(stubs + 0.5), weight});
      }
    const std::vector<Edge> clever = ModuleGraphBuilder(graph, lists).edges();
    REQUIRE(clever.size() == plain.size());
    REQUIRE(plain.size() > 3);
    for (std::size_t i = 0; i < plain.size(); ++i) {
      CHECK(clever[i].a == plain[i].a);
      CHECK(clever[i].b == plain[i].b);
      CHECK(clever[i].multiplicity == plain[i].multiplicity);
      CHECK(clever[i].weight == Approx(plain[i].weight));
    }
  }
}

TEST_CASE("edges that are all single take no memory for multiplicities, and look the same") {
  const Graph single = graph_of(3, {{0, 1, 1, 1}, {1, 2, 1, 1}}), parallel = graph_of(3, {{0, 1, 2, 1}, {1, 2, 1, 1}});
  CHECK(single.multiplicity(0) == 1);
  CHECK(parallel.multiplicity(0) == 2);
  CHECK(parallel.multiplicity(parallel.end_link(2) - 1) == 1);
  CHECK(parallel.total_stubs() == 6);
}
