// A partition of high modularity: another start for a search (-louvain; METHOD.md 10).
//
// The multi-level method of Blondel, Guillaume, Lambiotte and Lefebvre (J. Stat. Mech. P10008, 2008):
// vertices, in random order, move to the neighbouring community that gains most modularity, until
// none gains; then every community becomes one vertex, and it starts again. Edges count with their
// weights, in unweighted graphs with their multiplicities; directions do not matter.
#ifndef OSLOM_LOUVAIN_H
#define OSLOM_LOUVAIN_H

#include <algorithm>
#include <numeric>
#include <vector>

#include "graph.h"
#include "random.h"

namespace oslom {

class Louvain {
 public:
  Louvain(const Graph& graph, Random random) : random_(random) {
    rows_.resize(static_cast<std::size_t>(graph.num_vertices()));
    for (Vertex v = 0; v < graph.num_vertices(); ++v)
      for (auto link = graph.first_link(v); link < graph.end_link(v); ++link)
        rows_[v].push_back({graph.target(link), graph.weight_both_ways(link)});
    inner_.assign(rows_.size(), 0);
    community_of_.resize(rows_.size());
    std::iota(community_of_.begin(), community_of_.end(), 0);
  }

  std::vector<Members> run() {
    while (move_all()) aggregate();
    std::vector<Members> groups(rows_.size());
    for (std::size_t v = 0; v < community_of_.size(); ++v) groups[community_of_[v]].push_back(static_cast<Vertex>(v));
    return groups;
  }

  // Of a partition of the graph; for tests.
  static double modularity(const Graph& graph, const std::vector<Members>& groups) {
    std::vector<std::size_t> group_of(static_cast<std::size_t>(graph.num_vertices()));
    for (std::size_t group = 0; group < groups.size(); ++group)
      for (Vertex v : groups[group]) group_of[v] = group;
    std::vector<double> inside(groups.size(), 0), strength(groups.size(), 0);
    double total = 0;
    for (Vertex v = 0; v < graph.num_vertices(); ++v)
      for (auto link = graph.first_link(v); link < graph.end_link(v); ++link) {
        total += graph.weight_both_ways(link);
        strength[group_of[v]] += graph.weight_both_ways(link);
        if (group_of[v] == group_of[graph.target(link)]) inside[group_of[v]] += graph.weight_both_ways(link);
      }
    double sum = 0;
    for (std::size_t group = 0; group < groups.size(); ++group)
      sum += inside[group] / total - strength[group] / total * (strength[group] / total);
    return sum;
  }

 private:
  struct Link {
    Vertex target;
    double weight;
  };

  // Moves single vertices until nothing is gained; false if nothing moved at all.
  bool move_all() {
    const std::size_t size = rows_.size();
    label_.resize(size);
    std::iota(label_.begin(), label_.end(), 0);
    strength_.assign(size, 0);
    for (std::size_t v = 0; v < size; ++v) {
      strength_[v] = inner_[v];
      for (const Link& link : rows_[v]) strength_[v] += link.weight;
    }
    total_ = std::accumulate(strength_.begin(), strength_.end(), 0.0);
    label_strength_ = strength_;
    to_label_.assign(size, 0);
    std::vector<Vertex> order(label_);
    random_.shuffle(order);
    bool any = false;
    for (std::size_t moved = 1, round = 0; moved > 0 && round < most_rounds; ++round) {
      moved = 0;
      for (Vertex v : order) moved += move_one(v);
      any = any || moved > 0;
    }
    return any;
  }

  // 1 if the vertex changed its community.
  std::size_t move_one(Vertex v) {
    near_.assign(1, label_[v]);
    for (const Link& link : rows_[v]) {
      const Vertex label = label_[link.target];
      if (to_label_[label] == 0 && label != label_[v]) near_.push_back(label);
      to_label_[label] += link.weight;
    }
    label_strength_[label_[v]] -= strength_[v];
    Vertex best = label_[v];
    double most = gain(v, best) + least_gain * total_;
    for (Vertex label : near_)
      if (gain(v, label) > most) most = gain(v, label), best = label;
    for (Vertex label : near_) to_label_[label] = 0;
    label_strength_[best] += strength_[v];
    const bool moves = best != label_[v];
    label_[v] = best;
    return moves;
  }

  // Of modularity, up to what does not depend on the label.
  double gain(Vertex v, Vertex label) const {
    return to_label_[label] - strength_[v] * label_strength_[label] / total_;
  }

  void aggregate() {
    std::vector<Vertex> number(rows_.size(), -1);
    Vertex count = 0;
    for (Vertex label : label_)
      if (number[label] < 0) number[label] = count++;
    std::vector<std::vector<Link>> rows(static_cast<std::size_t>(count));
    std::vector<double> inner(static_cast<std::size_t>(count), 0);
    for (std::size_t v = 0; v < rows_.size(); ++v) {
      const Vertex own = number[label_[v]];
      inner[own] += inner_[v];
      for (const Link& link : rows_[v]) {
        const Vertex other = number[label_[link.target]];
        if (other == own) inner[own] += link.weight;
        else rows[own].push_back({other, link.weight});
      }
    }
    for (std::vector<Link>& row : rows) merge_links(row);
    for (Vertex& community : community_of_) community = number[label_[community]];
    rows_ = std::move(rows);
    inner_ = std::move(inner);
  }

  static void merge_links(std::vector<Link>& row) {
    std::stable_sort(row.begin(), row.end(), [](const Link& a, const Link& b) { return a.target < b.target; });
    std::size_t kept = 0;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (kept > 0 && row[kept - 1].target == row[i].target) row[kept - 1].weight += row[i].weight;
      else row[kept++] = row[i];
    }
    row.resize(kept);
  }

  static constexpr std::size_t most_rounds = 1000;
  static constexpr double least_gain = 1e-12;

  Random random_;
  std::vector<std::vector<Link>> rows_;
  std::vector<double> inner_;          // twice the weight inside a vertex that stands for several
  std::vector<Vertex> community_of_;   // of the original vertices
  std::vector<Vertex> label_, near_;
  std::vector<double> strength_, label_strength_, to_label_;
  double total_ = 0;
};

inline std::vector<Members> louvain_partition(const Graph& graph, const Random& random) {
  return Louvain(graph, random).run();
}

}  // namespace oslom

#endif  // OSLOM_LOUVAIN_H
