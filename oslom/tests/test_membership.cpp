#include <set>
#include <vector>

#include "doctest/doctest.h"
#include "example_graphs.h"
#include "membership.h"

using namespace oslom;

namespace {

Slot any_of_border(const Membership& group, Random& random) {
  std::vector<Slot> border;
  for (Slot slot = 0; slot < group.num_slots(); ++slot)
    if (group.in_border(slot)) border.push_back(slot);
  REQUIRE(static_cast<Stubs>(border.size()) == group.border());
  return border[random.below(border.size())];
}

}  // namespace

TEST_CASE("moves keep the membership equal to a recount, and restore undoes them") {
  Random random(13);
  for (bool weighted : {false, true}) {
    Bench bench(random_graph(60, 240, weighted, random));
    Membership group(bench.graph, bench.study.scores);
    for (int trial = 0; trial < 20; ++trial) {
      group.build(range(static_cast<Vertex>(random.below(30)), 45));
      for (int i = 0; i < 5; ++i) {
        group.insert(any_of_border(group, random));
        REQUIRE(group.matches_recount());
      }
      group.save();
      const std::uint64_t fingerprint = group.fingerprint();
      const Stubs size = group.size(), slots = group.num_slots();
      for (int i = 0; i < 3; ++i) group.insert(any_of_border(group, random));
      REQUIRE(group.size() == size + 3);
      while (group.size() > 0) {
        group.remove(group.members()[random.below(group.members().size())], [](Slot) {});
        REQUIRE(group.matches_recount());
        REQUIRE((group.fingerprint() != fingerprint || group.size() == size));
      }
      group.restore();
      REQUIRE(group.matches_recount());
      CHECK(group.size() == size);
      CHECK(group.fingerprint() == fingerprint);
      CHECK(group.num_slots() == slots);
    }
  }
}

TEST_CASE("a move touches the neighbours and the one that moved, who keep what the group showed then") {
  Random random(19);
  for (bool weighted : {false, true}) {
    Bench bench(random_graph(60, 240, weighted, random));
    Membership group(bench.graph, bench.study.scores);
    group.build(range(0, 30));
    std::vector<Stubs> expected(60, group.outside().vertices);  // by vertex: outside the group at the last change
    for (int move = 0; move < 40; ++move) {
      const auto moved = [&](Slot slot) {
        const Vertex v = group.vertex(slot);
        std::set<Vertex> touched, neighbours{v};
        for (Slot other : group.touched()) touched.insert(group.vertex(other));
        for (auto link = bench.graph.first_link(v); link < bench.graph.end_link(v); ++link)
          neighbours.insert(bench.graph.target(link));
        for (Vertex u : touched) expected[u] = group.outside().vertices;
        CHECK(touched == neighbours);
      };
      if (move % 2 == 0) {
        const Slot slot = any_of_border(group, random);
        group.insert(slot), moved(slot);
      } else {
        group.remove(group.members()[random.below(group.members().size())], moved);
      }
      for (Slot slot = 0; slot < group.num_slots(); ++slot) {
        CHECK(group.outside_then(slot).vertices == expected[group.vertex(slot)]);
        CHECK(group.weight_part(slot) == bench.study.scores.weight_part(group.links(slot)));
      }
    }
  }
}

TEST_CASE("group totals of a clique in a ring") {
  Bench bench(ring_of_cliques(3, 5));
  Membership group(bench.graph, bench.study.scores);
  group.build(range(0, 5));
  const Outside outside = group.outside();
  CHECK(outside.outgoing == 2);
  CHECK(outside.total == bench.graph.total_stubs() - 22);
  CHECK(outside.vertices == 10);
  CHECK(outside.border == 2);
}

TEST_CASE("a member that loses its last link leaves with the one that held it") {
  Bench bench(graph_of(6, {{0, 1, 1, 1}, {1, 2, 1, 1}, {0, 2, 1, 1}, {2, 3, 1, 1}, {3, 4, 1, 1}, {4, 5, 1, 1}}));
  Membership group(bench.graph, bench.study.scores);
  group.build({0, 1, 2, 4, 5});
  std::vector<Vertex> gone;
  group.remove(4, [&](Slot slot) { gone.push_back(group.vertex(slot)); });  // vertex 5
  CHECK(gone == std::vector<Vertex>{5, 4});  // 4 has no other link to the group
  CHECK(group.size() == 3);
}
