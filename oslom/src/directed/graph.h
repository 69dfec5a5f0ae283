// A directed multigraph, with or without weights, in compressed rows.
//
// Every arc (a,b) has an integer multiplicity m (parallel stubs) and, in a weighted graph, a weight w.
// M = sum of all m, counted once. The row of a vertex has one link for every neighbour, with the arcs
// of both directions. Normalised weights v = w / <w>, where <w> is m times the harmonic mean of the
// mean weights per stub of the arcs that leave a and of those that arrive at b.
//
// Requires: no self loops, every arc listed once, arcs sorted by (a,b). Rows are then sorted.
// The twin of undirected/graph.h: same names, other null model.
#ifndef OSLOM_DIRECTED_GRAPH_H
#define OSLOM_DIRECTED_GRAPH_H

#include <cmath>
#include <vector>

#include "graph_types.h"

namespace oslom {

constexpr bool directed = true;
constexpr const char* program_name = "oslom_dir";
constexpr const char* edge_name = "arc";
constexpr const char* degree_names[] = {"in-degree", "out-degree", "in+out-degree"};

struct Degree {
  Stubs in = 0, out = 0;
};

// The links of one vertex to another, or to one group: in, from there; out, to there.
struct Links {
  Stubs in = 0, out = 0;         // stubs
  double z_in = 0, z_out = 0;    // sums of normalised weights, 0 in unweighted graphs

  bool any() const { return in + out > 0; }
  Links& operator+=(const Links& other) {
    in += other.in, out += other.out, z_in += other.z_in, z_out += other.z_out;
    return *this;
  }
  Links& operator-=(const Links& other) {
    in -= other.in, out -= other.out, z_in -= other.z_in, z_out -= other.z_out;
    if (in == 0) z_in = 0;
    if (out == 0) z_out = 0;
    return *this;
  }
  Links reversed() const { return {out, in, z_out, z_in}; }
};

// Whether they agree, weights up to rounding.
inline bool nearly_equal(const Links& a, const Links& b) {
  return a.in == b.in && a.out == b.out && std::fabs(a.z_in - b.z_in) <= 1e-9 * (1 + a.z_in) &&
         std::fabs(a.z_out - b.z_out) <= 1e-9 * (1 + a.z_out);
}

class Graph {
 public:
  using LinkIndex = std::size_t;

  Graph(Vertex num_vertices, const std::vector<Edge>& arcs, bool weighted)
      : weighted_(weighted), num_arcs_(arcs.size()), degrees_(static_cast<std::size_t>(num_vertices)) {
    add_up(arcs);
    fill_rows(arcs);
  }

  bool weighted() const { return weighted_; }
  Vertex num_vertices() const { return static_cast<Vertex>(degrees_.size()); }
  std::size_t num_edges() const { return num_arcs_; }
  Stubs total_stubs() const { return total_stubs_; }
  Degree degree(Vertex v) const { return degrees_[v]; }
  // In statistics, under degree_names.
  Stubs reported_degree(Vertex v, std::size_t which) const {
    return (which != 1 ? degrees_[v].in : 0) + (which != 0 ? degrees_[v].out : 0);
  }

  // The links of v are first_link(v) .. end_link(v)-1; the other accessors take such an index.
  LinkIndex first_link(Vertex v) const { return offsets_[v]; }
  LinkIndex end_link(Vertex v) const { return offsets_[v + 1]; }
  Vertex target(LinkIndex link) const { return targets_[link]; }
  // Of the arc from the row's vertex to the target; 0 if there is none.
  Stubs multiplicity(LinkIndex link) const { return links_[link].out; }
  double weight(LinkIndex link) const { return weighted_ ? weights_[link].out : static_cast<double>(links_[link].out); }
  double weight_both_ways(LinkIndex link) const {
    return weighted_ ? weights_[link].in + weights_[link].out : static_cast<double>(links_[link].in + links_[link].out);
  }
  // What the row's vertex shares with the target, and the target with the row's vertex.
  const Links& links_of_source(LinkIndex link) const { return links_[link]; }
  Links links_of_target(LinkIndex link) const { return links_[link].reversed(); }
  // True in one of the two rows of an arc: to go over all arcs once.
  bool lists(Vertex, LinkIndex link) const { return links_[link].out > 0; }

 private:
  struct Weights {
    double in, out;
  };

  void add_up(const std::vector<Edge>& arcs) {
    if (weighted_) strengths_.assign(degrees_.size(), {0, 0});
    for (const Edge& arc : arcs) {
      degrees_[arc.a].out += arc.multiplicity;
      degrees_[arc.b].in += arc.multiplicity;
      total_stubs_ += arc.multiplicity;
      if (weighted_) strengths_[arc.a].out += arc.weight, strengths_[arc.b].in += arc.weight;
    }
  }

  // Arcs by their second end; those of one end keep their order, so both lists of a row are sorted.
  static std::vector<std::size_t> by_second_end(const std::vector<Edge>& arcs, std::vector<std::size_t> first) {
    std::vector<std::size_t> order(arcs.size());
    for (std::size_t i = 0; i < arcs.size(); ++i) order[first[arcs[i].b]++] = i;
    return order;
  }

  void fill_rows(const std::vector<Edge>& arcs) {
    std::vector<std::size_t> first_in(degrees_.size() + 1, 0);
    for (const Edge& arc : arcs) ++first_in[arc.b + 1];
    for (std::size_t v = 1; v < first_in.size(); ++v) first_in[v] += first_in[v - 1];
    const std::vector<std::size_t> arriving = by_second_end(arcs, first_in);
    offsets_.push_back(0);
    std::size_t out = 0;
    for (Vertex v = 0; v < num_vertices(); ++v) {
      std::size_t in = first_in[v];
      const std::size_t in_end = first_in[v + 1];
      while (in < in_end || (out < arcs.size() && arcs[out].a == v)) {
        const bool leaves = out < arcs.size() && arcs[out].a == v, arrives = in < in_end;
        const Vertex to = leaves ? arcs[out].b : no_vertex, from = arrives ? arcs[arriving[in]].a : no_vertex;
        put(to <= from ? &arcs[out++] : nullptr, from <= to ? &arcs[arriving[in++]] : nullptr);
      }
      offsets_.push_back(targets_.size());
    }
  }

  void put(const Edge* leaving, const Edge* arriving) {
    targets_.push_back(leaving ? leaving->b : arriving->a);
    Links links;
    if (arriving) links.in = arriving->multiplicity, links.z_in = normalised(*arriving);
    if (leaving) links.out = leaving->multiplicity, links.z_out = normalised(*leaving);
    links_.push_back(links);
    if (weighted_) weights_.push_back({arriving ? arriving->weight : 0, leaving ? leaving->weight : 0});
  }

  double normalised(const Edge& arc) const {
    if (!weighted_) return 0;
    const double leaving = static_cast<double>(degrees_[arc.a].out) / strengths_[arc.a].out;
    const double arriving = static_cast<double>(degrees_[arc.b].in) / strengths_[arc.b].in;
    return arc.weight * (leaving + arriving) / 2 / static_cast<double>(arc.multiplicity);
  }

  static constexpr Vertex no_vertex = 2147483647;

  bool weighted_;
  std::size_t num_arcs_;
  Stubs total_stubs_ = 0;
  std::vector<LinkIndex> offsets_;
  std::vector<Vertex> targets_;
  std::vector<Links> links_;
  std::vector<Weights> weights_, strengths_;
  std::vector<Degree> degrees_;
};

}  // namespace oslom

#endif  // OSLOM_DIRECTED_GRAPH_H
