// Who belongs to a group, and how everybody around is linked to it.
//
// Every vertex met (member, or outsider with a link to a member) has a slot; members of the group it was built from
// have slots 0..built_size()-1. Moves keep the links of all slots, the totals and the border size up to date;
// matches_recount() computes them afresh (asserted in debug builds after every move).
#ifndef OSLOM_MEMBERSHIP_H
#define OSLOM_MEMBERSHIP_H

#include <cassert>
#include <vector>

#include "graph.h"
#include "random.h"
#include "scores.h"
#include "slots.h"

namespace oslom {

class Membership {
 public:
  Membership(const Graph& graph, const Scores& scores)
      : graph_(graph), scores_(scores), slot_of_(static_cast<std::size_t>(graph.num_vertices())) {}

  void build(const Members& group) {
    clear();
    for (Vertex v : group) add_slot(v);
    built_size_ = num_slots();
    for (Slot slot = 0; slot < built_size_; ++slot) link_neighbours(slot);
    for (Slot slot = 0; slot < built_size_; ++slot) enter(slot), state_.totals.count(degree_[slot], state_.links[slot]);
    state_.border = num_slots() - built_size_;
    moments_.assign(1, outside());
    assert(matches_recount());
  }

  // The state to come back to.
  void save() { saved_ = state_; }
  // Back to the saved state, without the slots that were added since.
  void restore() {
    for (std::size_t slot = saved_.links.size(); slot < vertex_.size(); ++slot) slot_of_.erase(vertex_[slot]);
    vertex_.resize(saved_.links.size()), degree_.resize(saved_.links.size());
    state_ = saved_;
    assert(matches_recount());
  }

  Stubs size() const { return static_cast<Stubs>(state_.members.size()); }
  Slot built_size() const { return built_size_; }
  Slot num_slots() const { return static_cast<Slot>(vertex_.size()); }
  Stubs border() const { return state_.border; }
  // Equal for equal sets of members, as far as 64 bits can tell.
  std::uint64_t fingerprint() const { return state_.fingerprint; }
  const std::vector<Slot>& members() const { return state_.members; }
  bool weighted() const { return graph_.weighted(); }

  Vertex vertex(Slot slot) const { return vertex_[slot]; }
  const Degree& degree(Slot slot) const { return degree_[slot]; }
  const Links& links(Slot slot) const { return state_.links[slot]; }
  bool is_member(Slot slot) const { return state_.place[slot] >= 0; }
  bool in_border(Slot slot) const { return !is_member(slot) && state_.links[slot].any(); }
  // Of the score of a slot's links. Computed once for every change of them.
  double weight_part(Slot slot) const {
    if (!graph_.weighted()) return 1;
    double& w = state_.weight_part[slot];
    return w == unknown ? w = scores_.weight_part(state_.links[slot]) : w;
  }

  // What the group shows to the vertices outside: now, and when the links of a slot changed last.
  Outside outside() const { return state_.totals.outside(graph_, size(), state_.border); }
  const Outside& outside_then(Slot slot) const { return moments_[state_.since[slot]]; }

  // The slots whose links the last move changed, and the one that moved.
  const std::vector<Slot>& touched() const { return touched_; }

  void insert(Slot slot) {
    state_.totals.add(degree_[slot], state_.links[slot]);
    if (state_.links[slot].any()) --state_.border;
    enter(slot);
    add_links(slot);
    touch(slot);
    moments_.push_back(outside());
    assert(matches_recount());
  }

  // Takes a member out, and with it members that have lost their last link to the group; moved(slot) after each.
  template <typename Moved>
  void remove(Slot slot, Moved moved) {
    take_out(slot), moved(slot);
    while (!orphans_.empty()) {
      const Slot orphan = orphans_.back();
      orphans_.pop_back();
      if (is_member(orphan) && !state_.links[orphan].any() && size() > 1) take_out(orphan), moved(orphan);
    }
    assert(matches_recount());
  }

  // The dull twin: counts everything again from the graph.
  bool matches_recount() const;

 private:
  void clear() {
    slot_of_.clear();
    vertex_.clear(), degree_.clear(), orphans_.clear();
    state_.links.clear(), state_.place.clear(), state_.since.clear(), state_.weight_part.clear(),
        state_.members.clear();
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
    state_.place.push_back(-1);
    state_.since.push_back(0);
    if (graph_.weighted()) state_.weight_part.push_back(unknown);
    return slot;
  }

  void link_neighbours(Slot slot) {
    const Vertex v = vertex_[slot];
    for (auto link = graph_.first_link(v); link < graph_.end_link(v); ++link) {
      const Vertex u = graph_.target(link);
      if (slot_of_.contains(u)) state_.links[slot_of_[u]] += graph_.links_of_target(link);
      else state_.links[add_slot(u)] += graph_.links_of_target(link);
    }
  }

  // A member more or less. Every vertex has its own pattern of bits in the fingerprint.
  void enter(Slot slot) {
    state_.place[slot] = static_cast<Slot>(size());
    state_.members.push_back(slot);
    mark(slot);
  }
  void leave(Slot slot) {
    const Slot last = state_.members.back();
    state_.members[state_.place[slot]] = last;
    state_.place[last] = state_.place[slot];
    state_.members.pop_back();
    state_.place[slot] = -1;
    mark(slot);
  }
  void mark(Slot slot) {
    std::uint64_t pattern = static_cast<std::uint64_t>(vertex_[slot]);
    state_.fingerprint ^= splitmix64(pattern);
  }

  // The moment itself is added at the end of the move.
  void touch(Slot slot) {
    state_.since[slot] = static_cast<std::int32_t>(moments_.size());
    touched_.push_back(slot);
  }
  void links_changed(Slot slot) {
    if (graph_.weighted()) state_.weight_part[slot] = unknown;
    touch(slot);
  }

  void add_links(Slot slot) {
    touched_.clear();
    const Vertex v = vertex_[slot];
    for (auto link = graph_.first_link(v); link < graph_.end_link(v); ++link) {
      const Vertex u = graph_.target(link);
      if (!slot_of_.contains(u)) add_slot(u);
      const Slot neighbour = slot_of_[u];
      Links& links = state_.links[neighbour];
      if (!links.any() && !is_member(neighbour)) ++state_.border;
      links += graph_.links_of_target(link);
      links_changed(neighbour);
    }
  }

  void take_out(Slot slot) {
    state_.totals.remove(degree_[slot], state_.links[slot]);
    leave(slot);
    if (state_.links[slot].any()) ++state_.border;
    take_links(slot);
    touch(slot);
    moments_.push_back(outside());
  }

  void take_links(Slot slot) {
    touched_.clear();
    const Vertex v = vertex_[slot];
    for (auto link = graph_.first_link(v); link < graph_.end_link(v); ++link) {
      const Vertex u = graph_.target(link);
      if (!slot_of_.contains(u)) continue;
      const Slot neighbour = slot_of_[u];
      Links& links = state_.links[neighbour];
      links -= graph_.links_of_target(link);
      links_changed(neighbour);
      if (links.any()) continue;
      links = {};
      if (is_member(neighbour)) orphans_.push_back(neighbour);
      else --state_.border;
    }
  }

  // What moves change. All vectors but members have one entry per slot.
  struct State {
    std::vector<Links> links;
    std::vector<Slot> place;  // in members; -1 for outsiders
    std::vector<std::int32_t> since;  // the moment of the last change of the links
    mutable std::vector<double> weight_part;  // weighted graphs only; unknown until asked for
    std::vector<Slot> members;
    GroupTotals totals;  // K, I
    Stubs border = 0;  // B
    std::uint64_t fingerprint = 0;
  };

  const Graph& graph_;
  const Scores& scores_;
  StampedMap slot_of_;
  std::vector<Vertex> vertex_;
  std::vector<Degree> degree_;
  std::vector<Slot> orphans_, touched_;
  std::vector<Outside> moments_;  // what the group showed after each move since it was built, restored or not
  Slot built_size_ = 0;
  State state_, saved_;
};

inline bool Membership::matches_recount() const {
  GroupTotals totals;
  Stubs border = 0, member_count = 0;
  for (Slot slot = 0; slot < num_slots(); ++slot) {
    Links links;
    const Vertex v = vertex_[slot];
    for (auto link = graph_.first_link(v); link < graph_.end_link(v); ++link) {
      const Vertex u = graph_.target(link);
      if (slot_of_.contains(u) && is_member(slot_of_[u])) links += graph_.links_of_source(link);
    }
    if (!nearly_equal(links, state_.links[slot])) return false;
    if (is_member(slot)) totals.count(degree_[slot], links), ++member_count;
    else if (links.any()) ++border;
    if (is_member(slot) && state_.members[state_.place[slot]] != slot) return false;
  }
  return totals == state_.totals && border == state_.border && member_count == size();
}

}  // namespace oslom

#endif  // OSLOM_MEMBERSHIP_H
