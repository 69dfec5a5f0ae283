// A graph with everything that the analysis of its groups needs: the parameters of the search, the
// scores for this kind of graph, working sets and a vertex map.
//
// Studies of subgraphs and graphs of modules share the Probabilities of their thread, which hold
// nothing but remembered values of pure functions.
#ifndef OSLOM_STUDY_H
#define OSLOM_STUDY_H

#include <algorithm>
#include <utility>

#include "failed_states.h"
#include "graph.h"
#include "inflation_sizes.h"
#include "order_statistics.h"
#include "scores.h"
#include "working_set.h"

namespace oslom {

struct Parameters {
  double tolerance = 0.1;    // P: a group is significant below this probability
  double parts_cover = 0.5;  // cp: parts that cover more of a group than this replace it
};

struct Probabilities {
  Probabilities(const Parameters& parameters, const LogFactorial& log_factorial)
      : tails(log_factorial, !directed), order(parameters.tolerance, log_factorial) {}
  Tails tails;
  OrderStatistics order;
};

class Team;
class Judgements;

struct Study {
  Study(const Graph& the_graph, const Parameters& the_parameters, Probabilities& the_probabilities)
      : Study(the_graph, the_parameters, the_probabilities, InflationSizes(the_graph)) {}
  Study(const Graph& the_graph, const Parameters& the_parameters, Probabilities& the_probabilities,
        InflationSizes sizes)
      : graph(the_graph), parameters(the_parameters), probabilities(the_probabilities),
        scores(the_graph.weighted(), the_probabilities.tails), set(the_graph, scores), seed(the_graph, scores),
        map(static_cast<std::size_t>(the_graph.num_vertices())),
        hopeless(std::min<std::size_t>(64 * static_cast<std::size_t>(the_graph.num_vertices()), 1 << 17)),
        inflation_sizes(std::move(sizes)) {}
  Study(const Study&) = delete;
  Study& operator=(const Study&) = delete;

  const Graph& graph;
  const Parameters& parameters;
  Probabilities& probabilities;
  Scores scores;
  WorkingSet set;
  WorkingSet seed;  // a group that is inflated, again and again
  StampedMap map;
  FailedStates hopeless;     // of all groups met so far
  FailedStates failed{512};  // of one group, by the way it was taken apart
  InflationSizes inflation_sizes;
  Judgements* judgements = nullptr;  // what other runs found out about the same groups, if there are any
  Team* helpers = nullptr;  // threads for independent parts of the analysis, if any are free
};

}  // namespace oslom

#endif  // OSLOM_STUDY_H
