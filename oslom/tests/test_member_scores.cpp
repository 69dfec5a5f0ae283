#include <algorithm>
#include <vector>

#include "doctest/doctest.h"
#include "example_graphs.h"
#include "member_scores.h"

using namespace oslom;

TEST_CASE("the scores of members are their mid scores, module by module, by a double loop") {
  Random random(20);
  for (bool weighted : {false, true}) {
    Bench bench(random_graph(60, 240, weighted, random));
    const Modules modules{{range(0, 10), 0.01}, {range(5, 30), 0.02}, {{59}, 1}};
    const std::vector<std::vector<double>> scores = member_scores(bench.graph, modules, bench.log_factorial);
    REQUIRE(scores.size() == modules.size());
    for (std::size_t i = 0; i < modules.size(); ++i) {
      const Members& members = modules[i].members;
      Membership group(bench.graph, bench.study.scores);
      group.build(members);
      REQUIRE(scores[i].size() == members.size());
      for (std::size_t j = 0; j < members.size(); ++j) {
        Links links;
        for (auto link = bench.graph.first_link(members[j]); link < bench.graph.end_link(members[j]); ++link)
          if (std::count(members.begin(), members.end(), bench.graph.target(link)) > 0)
            links += bench.graph.links_of_source(link);
        const Degree k = bench.graph.degree(members[j]);
        CHECK(scores[i][j] == doctest::Approx(bench.study.scores.member_mid(links, k, group.outside())));
      }
    }
  }
}
