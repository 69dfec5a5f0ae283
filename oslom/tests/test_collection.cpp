#include "collection.h"
#include "doctest/doctest.h"
#include "example_graphs.h"
#include "homeless.h"
#include "overlaps.h"

using namespace oslom;

TEST_CASE("pruning: what is half inside a larger module goes, chains from the root on") {
  Modules modules{{range(0, 20), 0.05}, {range(12, 24), 0.01}, {range(19, 30), 0.02}, {range(0, 3), 0.001}};
  prune(modules, 40);
  REQUIRE(modules.size() == 2);
  CHECK(modules[0].members == range(0, 20));
  CHECK(modules[1].members == range(19, 30));
}

TEST_CASE("of equally large modules the more significant stays") {
  Modules modules{{range(0, 10), 0.05}, {range(4, 14), 0.01}};
  prune(modules, 20);
  REQUIRE(modules.size() == 1);
  CHECK(modules[0].members == range(4, 14));
}

TEST_CASE("duplicates and singletons") {
  Modules modules{{{1, 2}, 0.1}, {{3}, 0.1}, {{1, 2}, 0.2}, {{2, 3}, 0.1}};
  drop_duplicates(modules);
  CHECK(modules.size() == 3);
  CHECK(modules[0].probability == 0.1);
  drop_singletons(modules);
  CHECK(modules.size() == 2);
  add_module(modules, {{2, 3}, 0.5});
  CHECK(modules.size() == 2);
}

TEST_CASE("unions and intersections of sorted groups") {
  CHECK(common_members({1, 3, 5}, {3, 4, 5, 6}) == 2);
  CHECK(united({1, 3}, {2, 3}) == Members{1, 2, 3});
  const Members a{5, 6}, b{1, 6};
  CHECK(union_of(std::vector<const Members*>{&a, &b}) == Members{1, 5, 6});
}

TEST_CASE("shared vertices equal pairwise intersections") {
  Random random(19);
  Modules modules;
  for (int i = 0; i < 12; ++i) {
    Members members;
    for (Vertex v = 0; v < 40; ++v)
      if (random.uniform() < 0.2) members.push_back(v);
    modules.push_back({members, 0.1});
  }
  const Overlaps overlaps(modules, 40);
  for (std::size_t a = 0; a < modules.size(); ++a)
    for (std::size_t b = 0; b < modules.size(); ++b) {
      std::size_t shared = 0;
      for (const Overlaps::Shared& entry : overlaps.of(a))
        if (entry.other == static_cast<std::int32_t>(b)) shared = static_cast<std::size_t>(entry.vertices);
      CHECK(shared == common_members(modules[a].members, modules[b].members));
    }
}

TEST_CASE("a homeless vertex joins the neighbouring module with the more surprising links") {
  std::vector<Edge> edges;
  add_clique(edges, 0, 6);
  add_clique(edges, 6, 6);
  for (Vertex v : {0, 1, 2, 6}) edges.push_back({v, 12, 1, 1.0});
  Bench bench(graph_of(13, edges));
  Modules modules{{range(0, 6), 0.01}, {range(6, 12), 0.02}};
  force_homeless(bench.study, modules, Random(1));
  REQUIRE(modules.size() == 2);
  const Module& grown = modules[0].size() == 7 ? modules[0] : modules[1];
  CHECK(grown.members == Members{0, 1, 2, 3, 4, 5, 12});
  CHECK(grown.probability == 0.01);
}

TEST_CASE("near-duplicates: the more significant one stays") {
  Bench bench(ring_of_cliques(4, 6));
  Modules modules{{range(0, 6), 0.001}, {{0, 1, 2, 3, 4, 6}, 0.05}};
  OverlapResolver(bench.study, modules, Random(1)).run();
  REQUIRE(modules.size() == 1);
  CHECK(modules[0].probability == 0.001);
}
