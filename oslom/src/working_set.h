// A group under analysis together with its border (section 4.1).
//
// Every vertex met (member, or outsider with a link to a member) has a slot; members of the group
// the set was built from have slots 0..built_size()-1. A slot holds the vertex's links to the group
// and a key that grows with its mid score: in member_key or in border_key. Keys put vertices in an
// order and decide nothing; whatever is decided is decided by exact scores.
//
// Approach: slots are flat arrays; save() and restore() copy them. Keys of slots that are not in the
// border are not_in_border, so a scan of one array finds the best border vertices. Moving a vertex
// renews the keys of its neighbours only; the others go stale.
// Moves keep links, totals and the border size up to date; matches_recount() computes them afresh (asserted in debug
// builds after every move).
#ifndef OSLOM_WORKING_SET_H
#define OSLOM_WORKING_SET_H

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <vector>

#include "graph.h"
#include "random.h"
#include "scores.h"

namespace oslom {

using Slot = std::int32_t;

// The few slots with the smallest (or largest) scores, best first; filled by a scan.
struct Few {
  static constexpr int capacity = 6;
  explicit Few(int at_most) : most(at_most) {}

  // Among equal scores the first seen stays ahead.
  void offer_small(Slot candidate, double value) {
    if (count == most && value >= score[most - 1]) return;
    int place = count < most ? count++ : most - 1;
    for (; place > 0 && score[place - 1] > value; --place) score[place] = score[place - 1], slot[place] = slot[place - 1];
    score[place] = value;
    slot[place] = candidate;
  }

  int most, count = 0;
  std::array<Slot, capacity> slot;
  std::array<double, capacity> score;
};

class WorkingSet {
 public:
  static constexpr double not_in_border = 2;

  WorkingSet(const Graph& graph, const Scores& scores)
      : graph_(graph), scores_(scores), slot_of_(static_cast<std::size_t>(graph.num_vertices())) {}

  // The snapshot of a group: keys are fresh.
  void build(const Members& group) {
    clear();
    for (Vertex v : group) state_.members.push_back(add_slot(v));
    built_size_ = static_cast<Slot>(group.size());
    for (Slot slot : state_.members) link_neighbours(slot);
    for (Slot slot : state_.members) count_member(slot);
    state_.border = static_cast<Stubs>(vertex_.size() - state_.members.size());
    score_all();
    assert(matches_recount());
  }

  void save() { saved_ = state_; }

  // Back to the saved state; no vertex may have been inserted since.
  void restore() {
    assert(saved_.links.size() == state_.links.size());
    state_ = saved_;
    assert(matches_recount());
  }

  Stubs size() const { return static_cast<Stubs>(state_.members.size()); }
  Slot built_size() const { return built_size_; }
  Slot num_slots() const { return static_cast<Slot>(vertex_.size()); }
  bool whole_graph() const { return size() == graph_.num_vertices(); }
  Stubs border() const { return state_.border; }
  // Equal for equal sets of members, as far as 64 bits can tell.
  std::uint64_t fingerprint() const { return state_.fingerprint; }
  const std::vector<Slot>& members() const { return state_.members; }
  Vertex vertex(Slot slot) const { return vertex_[slot]; }
  double exact_member_score(Slot slot) const {
    return scores_.member_mid(state_.links[slot], degree_[slot], outside());
  }
  double border_key(Slot slot) const { return state_.border_key[slot]; }
  const double* border_keys() const { return state_.border_key.data(); }

  Outside outside() const { return state_.totals.outside(graph_, size(), state_.border); }
  ScoreInterval test_score(Slot slot, const Outside& outside, Random& random) const {
    return scores_.test(state_.links[slot], degree_[slot], outside, random);
  }
  double random_member_score(Slot slot, Random& random) const {
    return scores_.member_at_step(state_.links[slot], degree_[slot], outside(), random.uniform());
  }
  double random_border_score(Slot slot, Random& random) const {
    return scores_.at_step(state_.links[slot], degree_[slot], outside(), random.uniform());
  }

  // The members with the largest keys (as negative numbers in Few::score).
  Few worst_members(int most) const {
    Few few(most);
    for (Slot slot : state_.members) few.offer_small(slot, -state_.member_key[slot]);
    return few;
  }
  // The border vertices with the smallest keys above `from`.
  Few best_border(double from, int most) const {
    Few few(most);
    double bound = 1;
    for (Slot slot = 0; slot < num_slots(); ++slot) {
      const double score = state_.border_key[slot];
      if (!((score > from) & (score <= bound))) continue;
      few.offer_small(slot, score);
      if (few.count == most) bound = few.score[most - 1];
    }
    return few;
  }

  void insert(Slot slot) {
    mark(slot);
    state_.totals.add(degree_[slot], state_.links[slot]);
    if (state_.links[slot].any()) --state_.border;
    state_.border_key[slot] = not_in_border;
    state_.members.push_back(slot);
    state_.is_member[slot] = 1;
    add_links(slot);
    renew(slot, outside());
    renew_around(slot);
    assert(matches_recount());
  }

  // Takes a member out, and with it members that have lost their last link to the group.
  void remove(Slot slot) {
    take_out(slot);
    while (!orphans_.empty()) {
      const Slot orphan = orphans_.back();
      orphans_.pop_back();
      if (state_.is_member[orphan] && !state_.links[orphan].any() && size() > 1) take_out(orphan);
    }
    assert(matches_recount());
  }

  // The dull twin: counts everything again from the graph.
  bool matches_recount() const;

 private:
  void clear() {
    slot_of_.clear();
    vertex_.clear(), degree_.clear(), orphans_.clear();
    state_.links.clear(), state_.is_member.clear(), state_.members.clear();
    state_.member_key.clear(), state_.border_key.clear();
    state_.totals = {};
    state_.border = 0;
    state_.fingerprint = 0;
  }

  Slot add_slot(Vertex v) {
    const Slot slot = num_slots();
    slot_of_.set(v, slot);
    vertex_.push_back(v);
    degree_.push_back(graph_.degree(v));
    state_.links.push_back({});
    state_.is_member.push_back(0);
    state_.member_key.push_back(0);
    state_.border_key.push_back(not_in_border);
    return slot;
  }

  Slot slot_for(Vertex v) { return slot_of_.contains(v) ? slot_of_[v] : add_slot(v); }

  void link_neighbours(Slot slot) {
    const Vertex v = vertex_[slot];
    for (auto link = graph_.first_link(v); link < graph_.end_link(v); ++link) {
      const Slot neighbour = slot_for(graph_.target(link));
      state_.links[neighbour] += graph_.links_of_target(link);
    }
  }

  // A member more or less: every slot has its own pattern of bits.
  void mark(Slot slot) {
    std::uint64_t pattern = static_cast<std::uint64_t>(slot);
    state_.fingerprint ^= splitmix64(pattern);
  }

  void count_member(Slot slot) {
    mark(slot);
    state_.is_member[slot] = 1;
    state_.totals.count(degree_[slot], state_.links[slot]);
  }

  void score_all() {
    const Outside now = outside();
    for (Slot slot = 0; slot < num_slots(); ++slot) renew(slot, now);
  }

  void renew(Slot slot, const Outside& outside) {
    const Links& links = state_.links[slot];
    const Degree degree = degree_[slot];
    if (state_.is_member[slot]) state_.member_key[slot] = scores_.key(links, degree, outside.without(degree, links));
    else state_.border_key[slot] = links.any() ? scores_.key(links, degree, outside) : not_in_border;
  }

  void renew_around(Slot slot) {
    const Outside now = outside();
    const Vertex v = vertex_[slot];
    for (auto link = graph_.first_link(v); link < graph_.end_link(v); ++link)
      renew(slot_of_[graph_.target(link)], now);
  }

  void add_links(Slot slot) {
    const Vertex v = vertex_[slot];
    for (auto link = graph_.first_link(v); link < graph_.end_link(v); ++link) {
      const Slot neighbour = slot_for(graph_.target(link));
      Links& links = state_.links[neighbour];
      if (!links.any() && !state_.is_member[neighbour]) ++state_.border;
      links += graph_.links_of_target(link);
    }
  }

  void take_out(Slot slot) {
    mark(slot);
    state_.totals.remove(degree_[slot], state_.links[slot]);
    state_.members.erase(std::find(state_.members.begin(), state_.members.end(), slot));
    state_.is_member[slot] = 0;
    if (state_.links[slot].any()) ++state_.border;
    take_links(slot);
    renew(slot, outside());
    renew_around(slot);
  }

  void take_links(Slot slot) {
    const Vertex v = vertex_[slot];
    for (auto link = graph_.first_link(v); link < graph_.end_link(v); ++link) {
      const Slot neighbour = slot_of_[graph_.target(link)];
      Links& links = state_.links[neighbour];
      links -= graph_.links_of_target(link);
      if (links.any()) continue;
      links = {};
      if (state_.is_member[neighbour]) orphans_.push_back(neighbour);
      else --state_.border;
    }
  }

  // What moves change. All vectors but members have one entry per slot.
  struct State {
    std::vector<Links> links;
    std::vector<char> is_member;
    std::vector<double> member_key, border_key;
    std::vector<Slot> members;
    GroupTotals totals;  // K, I
    Stubs border = 0;    // B
    std::uint64_t fingerprint = 0;
  };

  const Graph& graph_;
  const Scores& scores_;
  StampedMap slot_of_;
  std::vector<Vertex> vertex_;
  std::vector<Degree> degree_;
  std::vector<Slot> orphans_;
  Slot built_size_ = 0;
  State state_, saved_;
};

inline bool WorkingSet::matches_recount() const {
  GroupTotals totals;
  Stubs border = 0, member_count = 0;
  for (Slot slot = 0; slot < num_slots(); ++slot) {
    Links links;
    const Vertex v = vertex_[slot];
    for (auto link = graph_.first_link(v); link < graph_.end_link(v); ++link) {
      const Vertex u = graph_.target(link);
      if (!slot_of_.contains(u) || !state_.is_member[slot_of_[u]]) continue;
      links += graph_.links_of_source(link);
    }
    if (!nearly_equal(links, state_.links[slot])) return false;
    if (!state_.is_member[slot] && (state_.border_key[slot] == not_in_border) == links.any()) return false;
    if (state_.is_member[slot]) totals.count(degree_[slot], links), ++member_count;
    else if (links.any()) ++border;
  }
  return totals == state_.totals && border == state_.border && member_count == size();
}

}  // namespace oslom

#endif  // OSLOM_WORKING_SET_H
