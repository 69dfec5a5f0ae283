#include <algorithm>
#include <cmath>
#include <vector>

#include "doctest/doctest.h"
#include "example_graphs.h"
#include "working_set.h"

using namespace oslom;

TEST_CASE("the worst members are those with the largest keys, computed or bounded") {
  Random random(15);
  for (bool weighted : {false, true}) {
    Bench bench(random_graph(100, 600, weighted, random));
    WorkingSet& set = bench.study.set;
    set.build(range(10, 60), Reach::everywhere);
    const Outside outside = set.group().outside();
    const Few few = set.member_keys().worst();
    std::vector<double> keys;
    for (Slot slot : set.group().members()) {
      Links links;
      const Vertex v = set.group().vertex(slot);
      for (auto link = bench.graph.first_link(v); link < bench.graph.end_link(v); ++link)
        if (bench.graph.target(link) >= 10 && bench.graph.target(link) < 60) links += bench.graph.links_of_source(link);
      const Scores& scores = bench.study.scores;
      const Degree k = bench.graph.degree(v);
      keys.push_back(scores.member_key(links, k, scores.weight_part(links), outside));
      CHECK(std::exp(-Scores::MemberFall(scores, outside)(links, k)) * scores.weight_part(links) * (1 + 1e-12) >=
            keys.back());
    }
    std::sort(keys.rbegin(), keys.rend());
    REQUIRE(few.count == 5);
    for (int i = 0; i < 5; ++i) CHECK(-few.values[i] == doctest::Approx(keys[i]));
  }
}
