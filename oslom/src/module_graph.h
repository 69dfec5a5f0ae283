// The graph whose vertices are modules (METHOD.md 8.1).
//
// A vertex in several modules shares its links among them: the link of i in A and j in B counts
// 1 / (number of modules of i x number of modules of j). Two modules are joined when the sum of the
// multiplicities, rounded, is positive; the sum of the original weights is the weight.
#ifndef OSLOM_MODULE_GRAPH_H
#define OSLOM_MODULE_GRAPH_H

#include <algorithm>
#include <vector>

#include "graph.h"

namespace oslom {

// For each vertex the modules it belongs to.
inline std::vector<std::vector<std::int32_t>> memberships(const std::vector<const Members*>& groups,
                                                          Vertex num_vertices) {
  std::vector<std::vector<std::int32_t>> result(num_vertices);
  for (std::size_t group = 0; group < groups.size(); ++group)
    for (Vertex v : *groups[group]) result[v].push_back(static_cast<std::int32_t>(group));
  return result;
}

class ModuleGraphBuilder {
 public:
  ModuleGraphBuilder(const Graph& graph, const std::vector<const Members*>& groups)
      : graph_(graph), groups_(groups), modules_of_(memberships(groups, graph.num_vertices())), place_(groups.size()) {}

  // Edges between modules a < b, or from a to b, sorted, with rounded multiplicity and summed weight.
  std::vector<Edge> edges() {
    std::vector<Edge> all;
    for (std::size_t a = 0; a < groups_.size(); ++a) {
      collect(static_cast<std::int32_t>(a));
      std::sort(sums_.begin(), sums_.end(), [](const Sum& p, const Sum& q) { return p.other < q.other; });
      for (const Sum& sum : sums_) {
        const Stubs multiplicity = static_cast<Stubs>(sum.stubs + 0.5);
        if (multiplicity > 0) all.push_back({static_cast<Vertex>(a), sum.other, multiplicity, sum.weight});
      }
    }
    return all;
  }

 private:
  struct Sum {
    std::int32_t other;
    double stubs, weight;
  };

  void collect(std::int32_t a) {
    place_.clear();
    sums_.clear();
    for (Vertex i : *groups_[a])
      for (auto link = graph_.first_link(i); link < graph_.end_link(i); ++link) {
        if (graph_.multiplicity(link) == 0) continue;
        const std::vector<std::int32_t>& others = modules_of_[graph_.target(link)];
        const double share = 1.0 / (static_cast<double>(modules_of_[i].size()) * static_cast<double>(others.size()));
        for (std::int32_t b : others)
          if (directed ? b != a : b > a)
            add(b, share * static_cast<double>(graph_.multiplicity(link)), share * graph_.weight(link));
      }
  }

  void add(std::int32_t other, double stubs, double weight) {
    if (!place_.contains(other)) {
      place_.set(other, static_cast<std::int32_t>(sums_.size()));
      sums_.push_back({other, 0, 0});
    }
    Sum& sum = sums_[place_[other]];
    sum.stubs += stubs;
    sum.weight += weight;
  }

  const Graph& graph_;
  const std::vector<const Members*>& groups_;
  std::vector<std::vector<std::int32_t>> modules_of_;
  StampedMap place_;
  std::vector<Sum> sums_;
};

// As a graph of the same kind as the graph of the vertices.
inline Graph module_graph(const Graph& graph, const std::vector<const Members*>& groups) {
  return Graph(static_cast<Vertex>(groups.size()), ModuleGraphBuilder(graph, groups).edges(), graph.weighted());
}

// For unions of modules (METHOD.md 6.7): single edges, always weighted by the sums.
inline Graph weighted_module_graph(const Graph& graph, const std::vector<const Members*>& groups) {
  std::vector<Edge> edges = ModuleGraphBuilder(graph, groups).edges();
  for (Edge& edge : edges) edge.multiplicity = 1;
  return Graph(static_cast<Vertex>(groups.size()), edges, true);
}

}  // namespace oslom

#endif  // OSLOM_MODULE_GRAPH_H
