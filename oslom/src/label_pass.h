// A randomised partition of a graph by moving labels (METHOD.md 6.1): the start of the search.
//
// Every vertex starts in a module of its own and, in random order, moves to the module of a neighbour
// to which its links are the most surprising (smallest random score). Only vertices with a neighbour
// that moved look again in the next round. The modules, split into connected parts, are raw groups:
// nothing has been tested yet.
#ifndef OSLOM_LABEL_PASS_H
#define OSLOM_LABEL_PASS_H

#include <algorithm>
#include <vector>

#include "graph.h"
#include "random.h"
#include "scores.h"

namespace oslom {

class LabelPass {
 public:
  LabelPass(const Graph& graph, const Scores& scores, Random random)
      : graph_(graph), scores_(scores), random_(random), label_(graph.num_vertices()), modules_(graph.num_vertices()),
        place_(static_cast<std::size_t>(graph.num_vertices())), flagged_(graph.num_vertices(), 0) {}

  std::vector<Members> run() {
    start();
    int strikes = 0;
    std::size_t moved_before = 0;
    for (Vertex round = 0; round < graph_.num_vertices() && strikes < most_strikes; ++round) {
      const std::size_t moved = one_round();
      if (moved == 0) break;
      if (round >= 10 && stagnates(moved, moved_before)) ++strikes;
      moved_before = moved;
    }
    return connected_parts();
  }

 private:
  struct ModuleState {
    Stubs size;  // n
    GroupTotals totals;
  };
  struct Nearby {
    Vertex label;
    Links links;
  };

  void start() {
    for (Vertex v = 0; v < graph_.num_vertices(); ++v) {
      label_[v] = v;
      modules_[v].size = 1;
      modules_[v].totals.add(graph_.degree(v), {});
      next_.push_back(v);
    }
  }

  static bool stagnates(std::size_t moved, std::size_t before) {
    return static_cast<double>(moved) - static_cast<double>(before) > 0.001 * static_cast<double>(before);
  }

  std::size_t one_round() {
    order_.swap(next_);
    next_.clear();
    std::sort(order_.begin(), order_.end());
    random_.shuffle(order_);
    for (Vertex v : order_) flagged_[v] = 0;
    std::size_t moved = 0;
    for (Vertex v : order_) moved += reconsider(v);
    return moved;
  }

  bool reconsider(Vertex v) {
    if (graph_.first_link(v) == graph_.end_link(v)) return false;
    look_around(v);
    const std::size_t best = best_nearby(v);
    if (nearby_[best].label == label_[v]) return false;
    move(v, nearby_[best]);
    return true;
  }

  // The modules of the neighbours of v with the links v has to them.
  void look_around(Vertex v) {
    place_.clear();
    nearby_.clear();
    for (auto link = graph_.first_link(v); link < graph_.end_link(v); ++link) {
      const Vertex label = label_[graph_.target(link)];
      if (!place_.contains(label)) {
        place_.set(label, static_cast<std::int32_t>(nearby_.size()));
        nearby_.push_back({label, {}});
      }
      nearby_[place_[label]].links += graph_.links_of_source(link);
    }
  }

  std::size_t best_nearby(Vertex v) {
    std::size_t best = 0;
    double smallest = 2;
    for (std::size_t i = 0; i < nearby_.size(); ++i) {
      const double key = key_of(v, nearby_[i], smallest);
      const bool tie = key == smallest && nearby_[i].label < nearby_[best].label;
      if (key < smallest || tie) smallest = key, best = i;
    }
    return best;
  }

  double key_of(Vertex v, const Nearby& nearby, double bound) {
    const ModuleState& module = modules_[nearby.label];
    const Outside group = module.totals.outside(graph_, module.size, 0);
    return scores_.label_key(nearby.links, graph_.degree(v), group, nearby.label == label_[v], bound, random_);
  }

  void move(Vertex v, const Nearby& to) {
    ModuleState &left = modules_[label_[v]], &joined = modules_[to.label];
    left.totals.remove(graph_.degree(v), place_.contains(label_[v]) ? nearby_[place_[label_[v]]].links : Links{});
    joined.totals.add(graph_.degree(v), to.links);
    --left.size;
    ++joined.size;
    label_[v] = to.label;
    for (auto link = graph_.first_link(v); link < graph_.end_link(v); ++link) flag(graph_.target(link));
  }

  void flag(Vertex v) {
    if (flagged_[v]) return;
    flagged_[v] = 1;
    next_.push_back(v);
  }

  // Connected components within equal labels, by smallest vertex.
  std::vector<Members> connected_parts() const {
    std::vector<Members> parts;
    std::vector<char> seen(label_.size(), 0);
    for (Vertex v = 0; v < graph_.num_vertices(); ++v)
      if (!seen[v]) parts.push_back(part_of(v, seen));
    return parts;
  }

  Members part_of(Vertex start, std::vector<char>& seen) const {
    Members part{start};
    seen[start] = 1;
    for (std::size_t i = 0; i < part.size(); ++i)
      for (auto link = graph_.first_link(part[i]); link < graph_.end_link(part[i]); ++link) {
        const Vertex u = graph_.target(link);
        if (seen[u] || label_[u] != label_[start]) continue;
        seen[u] = 1;
        part.push_back(u);
      }
    std::sort(part.begin(), part.end());
    return part;
  }

  static constexpr int most_strikes = 10;

  const Graph& graph_;
  const Scores& scores_;
  Random random_;
  std::vector<Vertex> label_;
  std::vector<ModuleState> modules_;
  StampedMap place_;  // module label -> index in nearby_
  std::vector<Nearby> nearby_;
  std::vector<char> flagged_;
  std::vector<Vertex> order_, next_;
};

}  // namespace oslom

#endif  // OSLOM_LABEL_PASS_H
