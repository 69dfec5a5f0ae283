// A group under analysis together with its border (METHOD.md 5.1).
//
// Every vertex met (member, or outsider with a link to a member) has a slot; members of the group
// the set was built from have slots 0..built_size()-1. A slot holds the vertex's links to the group,
// and its key, which grows with its mid score and is as old as the last change of the links: keys put vertices
// in an order and decide nothing; whatever is decided is decided by fresh ones.
//
// Approach: slots are flat arrays; save() and restore() copy them. Moving a vertex makes the keys of its
// neighbours unknown. The old key of an outsider is computed when it is asked for, which is rare, from what the group
// showed when its links changed last. Where there are many slots they are taken in blocks of about the square root of
// their number, and what is known of a block spares a look at its slots: a group of n vertices around a hub loses them
// one by one, each time with few changes.
// Moves keep links, totals and the border size up to date; matches_recount() computes them afresh (asserted in debug
// builds after every move).
#ifndef OSLOM_WORKING_SET_H
#define OSLOM_WORKING_SET_H

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>
#include <vector>

#include "graph.h"
#include "random.h"
#include "scores.h"

namespace oslom {

using Slot = std::int32_t;

enum class Reach { everywhere, inside };  // whom a cleaned group may contain: anybody, its own members

// The slots with the smallest values, best first; filled by a scan. Equal values go by `order`, which stands for one of
// many orders of all slots.
template <int most>
struct Smallest {
  explicit Smallest(std::uint64_t order = 0) : order(order) {}

  bool full() const { return count == most; }
  bool refuses(Slot candidate, double value) const { return full() && !precedes(candidate, value, most - 1); }
  // What is above it is refused.
  double worst() const { return full() ? values[most - 1] : std::numeric_limits<double>::infinity(); }

  // The same, in whatever order they are offered.
  void offer(Slot candidate, double value) {
    if (refuses(candidate, value)) return;
    int place = count < most ? count++ : most - 1;
    for (; place > 0 && precedes(candidate, value, place - 1); --place)
      values[place] = values[place - 1], slot[place] = slot[place - 1];
    values[place] = value;
    slot[place] = candidate;
  }

  bool precedes(Slot candidate, double value, int place) const {
    return value < values[place] || (value == values[place] && rank(candidate) < rank(slot[place]));
  }
  std::uint64_t rank(Slot candidate) const {
    return (static_cast<std::uint64_t>(candidate) ^ order) * 0x9e3779b97f4a7c15ULL;
  }

  std::uint64_t order;
  int count = 0;
  std::array<Slot, most> slot;
  std::array<double, most> values;
};

using Few = Smallest<5>;

class WorkingSet {
 public:
  // many_slots: from here on they have blocks.
  WorkingSet(const Graph& graph, const Scores& scores, Slot many_slots = 4096)
      : graph_(graph), scores_(scores), many_slots_(many_slots),
        slot_of_(static_cast<std::size_t>(graph.num_vertices())) {}

  // The snapshot of a group: keys are fresh. Equal keys go by `order`.
  void build(const Members& group, Reach reach, std::uint64_t order = 0) {
    clear();
    order_ = order;
    for (Vertex v : group) add_slot(v);
    built_size_ = num_slots();
    reach_ = reach;
    for (Slot slot = 0; slot < built_size_; ++slot) link_neighbours(slot);
    for (Slot slot = 0; slot < built_size_; ++slot) enter(slot), state_.totals.count(degree_[slot], state_.links[slot]);
    state_.border = num_slots() - built_size_;
    for (Slot slot = built_size_; slot < num_slots(); ++slot) state_.alert[slot] = never_safe;
    const Outside now = outside();
    state_.least = now;
    moments_.assign(1, now);
    least_factor_ = border_factor(now.vertices, num_slots());
    const Scores::MemberFall fall(scores_, now);
    for (Slot slot : state_.members) bound_member(slot, fall);
    if (num_slots() >= many_slots_) begin_blocks();
    assert(matches_recount());
  }

  // The state to come back to.
  void save() { saved_ = state_, has_saved_ = true; }
  bool saved() const { return has_saved_; }

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
  Vertex vertex(Slot slot) const { return vertex_[slot]; }
  bool is_member(Slot slot) const { return state_.place[slot] >= 0; }
  bool in_border(Slot slot) const { return !is_member(slot) && state_.links[slot].any(); }
  double exact_member_score(Slot slot) const {
    return scores_.member_mid(state_.links[slot], degree_[slot], outside());
  }

  // What the group shows to the vertices outside; the calls below that take it want it fresh.
  Outside outside() const { return state_.totals.outside(graph_, size(), state_.border); }
  // Of an outsider; keys above `bound` need not be right.
  double key(Slot slot, const Outside& outside, double bound = 2) {
    return scores_.key(state_.links[slot], degree_[slot], weight_part(slot), outside, bound);
  }
  // visit(slot, key) for all outsiders in reach whose key is at most `bound`. The bound may not grow while members
  // leave: what is far above it is not looked at again before the group has become sparse enough.
  template <typename Visit>
  void for_each_key_up_to(double bound, const Outside& outside, Visit visit) {
    Scores::keep_least(state_.least, outside);
    const std::size_t count = watch(Scores::density(state_.least, outside));
    const Scores::SafeDensity safe_density(scores_, outside, least_factor_, bound);
    for (std::size_t i = 0; i < count; ++i) {
      const Slot slot = watched_[i];
      const double key = this->key(slot, outside, bound);
      if (key <= bound) visit(slot, key);
      else state_.alert[slot] = safe_density(key, state_.links[slot], degree_[slot]);
      raise_block(slot);
    }
  }
  // Of a border vertex: its key when its links changed last. Keys above `bound` need not be right.
  double old_key(Slot slot, double bound = std::numeric_limits<double>::infinity()) {
    double& known = state_.border_key[slot];
    if (known == unknown)
      known = -scores_.key_floor(state_.links[slot], degree_[slot], weight_part(slot), moments_[state_.since[slot]]);
    if (known < 0 && -known <= bound)
      known = scores_.single_key(state_.links[slot], degree_[slot], weight_part(slot), moments_[state_.since[slot]]);
    return std::abs(known);
  }
  // The n-th smallest old key of the border vertices, members or not in reach, whose key is now above `limit`; `most`
  // if that is above it.
  template <int n>
  double nth_miss(double limit, double most, const Outside& outside) {
    Smallest<n> misses;
    for (Slot slot = 0; slot < num_slots(); ++slot) {
      if (!in_border(slot)) continue;
      const double bound = std::min(misses.worst(), most), old = old_key(slot, bound);
      if (old < bound && key(slot, outside, limit) > limit) misses.offer(slot, old);
    }
    return std::min(misses.worst(), most);
  }
  ScoreInterval test_score(Slot slot, const Outside& outside, Random& random) {
    return scores_.test(state_.links[slot], degree_[slot], weight_part(slot), outside, random);
  }
  // Not of the age of the keys: with draws from old tails random graphs are full of modules.
  double random_member_score(Slot slot, const Outside& outside, Random& random) {
    return scores_.member_at_step(state_.links[slot], degree_[slot], weight_part(slot), outside, random.uniform());
  }
  double random_border_score(Slot slot, const Outside& outside, Random& random) {
    return scores_.at_step(state_.links[slot], degree_[slot], weight_part(slot), outside, random.uniform());
  }

  // The members with the largest keys (as negative numbers in Few::values). Of keys that are known by an upper bound
  // only those that matter are computed.
  Few worst_members() {
    if (!state_.blocks.empty()) return worst_by_blocks();
    Few few(order_);
    double least = 0;  // keys below it are refused; those that are not known are negative
    const auto offer = [&](Slot slot) {
      if (state_.member_key[slot] < least) return;
      few.offer(slot, -state_.member_key[slot]);
      if (few.full()) least = -few.worst();
    };
    for (Slot slot : state_.members) offer(slot);
    double furthest = -std::log(least);
    for (Slot slot : state_.members) {
      if (!(state_.member_fall[slot] < furthest)) continue;
      tighten_bound(slot);
      if (!(state_.member_fall[slot] < furthest)) continue;
      renew_member(slot);
      offer(slot);
      furthest = -std::log(least);
    }
    return few;
  }
  // The border vertices with the smallest old keys. These change only with links, so as long as the best of those that
  // were near before, or were touched since, are nearer than all others were, nobody else is looked at.
  Few best_border() {
    const Few few = best_of_near();
    if (few.full() && few.worst() < state_.all_nearer && state_.near.size() <= 3 * most_near) return few;
    find_near();
    return best_of_near();
  }

  void insert(Slot slot) {
    state_.totals.add(degree_[slot], state_.links[slot]);
    if (state_.links[slot].any()) --state_.border;
    enter(slot);
    add_links(slot);
    touched_.push_back(slot);
    renew_touched();
    assert(matches_recount());
  }

  // Takes a member out, and with it members that have lost their last link to the group.
  void remove(Slot slot) {
    take_out(slot);
    while (!orphans_.empty()) {
      const Slot orphan = orphans_.back();
      orphans_.pop_back();
      if (is_member(orphan) && !state_.links[orphan].any() && size() > 1) take_out(orphan);
    }
    assert(matches_recount());
  }

  // The dull twin: counts everything again from the graph.
  bool matches_recount() const;

 private:
  static constexpr double unknown = -2;
  static constexpr double bounded = -1;  // a member's key of which no more is known than a bound with its weights
  static constexpr int most_near = 16;
  static constexpr double not_in_border = -1;  // an alert density that is below all

  struct Block {
    double most_alert = never_safe;  // no slot's alert is above it
    bool stale = true;  // whether the rest is to be found out again
    Slot worst = -1;  // the member with the largest known key, if there is one
    double least_fall = 0;  // of the members whose keys are not known
  };

  void clear() {
    slot_of_.clear();
    vertex_.clear(), degree_.clear(), orphans_.clear();
    state_.links.clear(), state_.place.clear(), state_.member_key.clear(), state_.member_fall.clear(),
        state_.alert.clear(), state_.border_key.clear(), state_.since.clear(), state_.weight_part.clear(),
        state_.members.clear(), state_.near.clear(), state_.is_near.clear(), state_.blocks.clear();
    state_.all_nearer = 0;
    state_.totals = {};
    state_.border = 0;
    state_.fingerprint = 0;
    has_saved_ = false;
  }

  Slot add_slot(Vertex v) {
    const Slot slot = num_slots();
    slot_of_.set(v, slot);
    vertex_.push_back(v);
    degree_.push_back(graph_.degree(v));
    state_.links.push_back({});
    state_.place.push_back(-1);
    state_.member_key.push_back(unknown);
    state_.member_fall.push_back(0);
    state_.alert.push_back(not_in_border);
    state_.border_key.push_back(unknown);
    state_.since.push_back(0);
    state_.is_near.push_back(0);
    if (graph_.weighted()) state_.weight_part.push_back(unknown);
    if (!state_.blocks.empty() && block_number(slot) == state_.blocks.size()) state_.blocks.push_back({});
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

  // Slots of vertices that may become members.
  Slot end_of_interest() const { return reach_ == Reach::inside ? built_size_ : num_slots(); }

  // A member more or less. Every vertex has its own pattern of bits in the fingerprint.
  void enter(Slot slot) {
    state_.place[slot] = static_cast<Slot>(size());
    state_.alert[slot] = not_in_border;
    state_.members.push_back(slot);
    mark(slot);
  }
  void leave(Slot slot) {
    const Slot last = state_.members.back();
    state_.members[state_.place[slot]] = last;
    state_.place[last] = state_.place[slot];
    state_.members.pop_back();
    state_.place[slot] = -1;
    set_stale(slot);
    mark(slot);
  }
  void mark(Slot slot) {
    std::uint64_t pattern = static_cast<std::uint64_t>(vertex_[slot]);
    state_.fingerprint ^= splitmix64(pattern);
  }

  // Computed once for every change of the links.
  double weight_part(Slot slot) {
    if (!graph_.weighted()) return 1;
    double& w = state_.weight_part[slot];
    return w == unknown ? w = scores_.weight_part(state_.links[slot]) : w;
  }

  void begin_blocks() {
    block_bits_ = 0;
    while (std::int64_t{1} << 2 * block_bits_ < num_slots()) ++block_bits_;
    state_.blocks.assign(block_number(num_slots() - 1) + 1, {});
  }
  std::size_t block_number(Slot slot) const { return static_cast<std::size_t>(slot) >> block_bits_; }
  Slot block_begin(std::size_t block) const { return static_cast<Slot>(block << block_bits_); }
  Slot block_end(std::size_t block) const {
    return static_cast<Slot>(std::min((block + 1) << block_bits_, vertex_.size()));
  }
  Block& block_of(Slot slot) { return state_.blocks[block_number(slot)]; }
  void raise_block(Slot slot) {
    if (!state_.blocks.empty()) block_of(slot).most_alert = std::max(block_of(slot).most_alert, state_.alert[slot]);
  }
  void set_stale(Slot slot) {
    if (!state_.blocks.empty()) block_of(slot).stale = true;
  }

  // visit(slot) for the members of a block.
  template <typename Visit>
  void for_each_member(std::size_t block, Visit visit) {
    for (Slot slot = block_begin(block), end = block_end(block); slot < end; ++slot)
      if (is_member(slot)) visit(slot);
  }
  void look_into(std::size_t number) {
    Smallest<1> worst(order_);
    Block& block = state_.blocks[number];
    block.least_fall = std::numeric_limits<double>::infinity();
    for_each_member(number, [&](Slot slot) {
      if (state_.member_key[slot] >= 0) worst.offer(slot, -state_.member_key[slot]);
      else block.least_fall = std::min(block.least_fall, state_.member_fall[slot]);
    });
    block.worst = worst.full() ? worst.slot[0] : -1;
    block.stale = false;
  }
  // The worst members are in the blocks with the worst of all blocks' worst members.
  Few worst_by_blocks() {
    Few blocks(order_), few(order_);
    for (std::size_t block = 0; block < state_.blocks.size(); ++block) {
      if (state_.blocks[block].stale) look_into(block);
      const Slot worst = state_.blocks[block].worst;
      if (worst >= 0) blocks.offer(worst, -state_.member_key[worst]);
    }
    for (int i = 0; i < blocks.count; ++i)
      for_each_member(block_number(blocks.slot[i]), [&](Slot slot) {
        if (state_.member_key[slot] >= 0) few.offer(slot, -state_.member_key[slot]);
      });
    double furthest = few.full() ? -std::log(-few.worst()) : std::numeric_limits<double>::infinity();
    for (std::size_t block = 0; block < state_.blocks.size(); ++block) {
      if (!(state_.blocks[block].least_fall < furthest)) continue;
      for_each_member(block, [&](Slot slot) {
        if (!(state_.member_fall[slot] < furthest)) return;
        tighten_bound(slot);
        if (!(state_.member_fall[slot] < furthest)) return;
        renew_member(slot);
        few.offer(slot, -state_.member_key[slot]);
        if (few.full()) furthest = -std::log(-few.worst());
      });
    }
    return few;
  }

  void renew_member(Slot slot) {
    state_.member_key[slot] =
        scores_.member_key(state_.links[slot], degree_[slot], weight_part(slot), moments_[state_.since[slot]]);
    state_.member_fall[slot] = std::numeric_limits<double>::infinity();
    set_stale(slot);
  }
  // The weights, too, say how small a key is, and cost less than its tail.
  void tighten_bound(Slot slot) {
    if (state_.member_key[slot] == unknown && graph_.weighted())
      state_.member_fall[slot] -= std::log(weight_part(slot));
    state_.member_key[slot] = bounded;
    set_stale(slot);
  }
  void bound_member(Slot slot, const Scores::MemberFall& fall) {
    state_.member_key[slot] = unknown;
    state_.member_fall[slot] = fall(state_.links[slot], degree_[slot]);
    set_stale(slot);
  }

  void renew_touched() {
    const Outside now = outside();
    moments_.push_back(now);
    const Scores::MemberFall fall(scores_, now);
    for (Slot slot : touched_) {
      state_.since[slot] = static_cast<std::int32_t>(moments_.size() - 1);
      if (is_member(slot)) bound_member(slot, fall);
      else renew_outsider(slot);
    }
  }
  void renew_outsider(Slot slot) {
    state_.border_key[slot] = unknown;
    if (state_.all_nearer > 0 && old_key(slot, 0) < state_.all_nearer) call_near(slot);
  }

  Few best_of_near() {
    Few few(order_);
    for (Slot slot : state_.near)
      if (in_border(slot)) few.offer(slot, old_key(slot, few.worst()));
    return few;
  }
  void find_near() {
    Smallest<most_near> nearest(order_);
    for (Slot slot = 0; slot < num_slots(); ++slot)
      if (in_border(slot)) nearest.offer(slot, old_key(slot, nearest.worst()));
    for (Slot slot : state_.near) state_.is_near[slot] = 0;
    state_.near.clear();
    for (int i = 0; i < nearest.count; ++i) call_near(nearest.slot[i]);
    state_.all_nearer = nearest.worst();
  }
  void call_near(Slot slot) {
    if (!state_.is_near[slot]) state_.near.push_back(slot);
    state_.is_near[slot] = 1;
  }

  // Fewer links make a key larger, but lighter links may make it smaller.
  void links_changed(Slot slot) {
    if (!graph_.weighted()) return;
    state_.weight_part[slot] = unknown;
    if (!is_member(slot)) set_alert(slot);
  }
  void set_alert(Slot slot) { state_.alert[slot] = never_safe, raise_block(slot); }

  // How many are to be looked at; watched_ begins with them. Without branches, as nobody can predict which ones.
  std::size_t watch(double density) {
    if (watched_.size() < vertex_.size()) watched_.resize(vertex_.size());
    if (state_.blocks.empty()) return watch(density, 0, end_of_interest(), 0);
    std::size_t count = 0;
    for (std::size_t block = 0; block < state_.blocks.size() && block_begin(block) < end_of_interest(); ++block)
      if (state_.blocks[block].most_alert >= density) count = watch_block(density, block, count);
    return count;
  }
  std::size_t watch(double density, Slot begin, Slot end, std::size_t count) {
    Slot* const watched = watched_.data();
    const double* const alert = state_.alert.data();
    for (Slot slot = begin; slot < end; ++slot) {
      watched[count] = slot;
      count += alert[slot] >= density;
    }
    return count;
  }
  // Of its slots those that are looked at will raise it again.
  std::size_t watch_block(double density, std::size_t block, std::size_t count) {
    const Slot begin = block_begin(block), end = std::min(block_end(block), end_of_interest());
    double most = not_in_border;
    for (Slot slot = begin; slot < end; ++slot)
      if (state_.alert[slot] < density) most = std::max(most, state_.alert[slot]);
    state_.blocks[block].most_alert = most;
    return watch(density, begin, end, count);
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
      if (!is_member(neighbour)) set_alert(neighbour);
      touched_.push_back(neighbour);
    }
  }

  void take_out(Slot slot) {
    state_.totals.remove(degree_[slot], state_.links[slot]);
    leave(slot);
    if (state_.links[slot].any()) ++state_.border, set_alert(slot);
    take_links(slot);
    touched_.push_back(slot);
    renew_touched();
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
      touched_.push_back(neighbour);
      if (links.any()) continue;
      links = {};
      state_.alert[neighbour] = not_in_border;
      if (is_member(neighbour)) orphans_.push_back(neighbour);
      else --state_.border;
    }
  }

  // What moves change. All vectors but members have one entry per slot.
  struct State {
    std::vector<Links> links;
    std::vector<Slot> place;  // in members; -1 for outsiders
    std::vector<double> member_key;  // unknown or bounded until it matters
    std::vector<double> member_fall;  // an unknown key, divided by its weight part, is at most exp(-fall), a bounded
                                      // one itself; else infinite
    std::vector<double> border_key;  // of outsiders; unknown until asked for; negative: not below its opposite
    std::vector<std::int32_t> since;  // the moment of the last change of the links
    std::vector<double> alert;  // the density down to which an outsider's key is above the bound
    std::vector<double> weight_part;  // weighted graphs only; unknown until asked for
    std::vector<Slot> members;
    std::vector<Slot> near;  // among others all border vertices whose old keys are below all_nearer
    std::vector<char> is_near;  // whether a slot is listed there
    double all_nearer = 0;
    std::vector<Block> blocks;  // none if there are few slots
    GroupTotals totals;  // K, I
    Stubs border = 0;  // B
    Outside least{};  // of the stubs that left the group since it was built
    std::uint64_t fingerprint = 0;
  };

  const Graph& graph_;
  const Scores& scores_;
  Slot many_slots_;
  StampedMap slot_of_;
  std::vector<Vertex> vertex_;
  std::vector<Degree> degree_;
  std::vector<Slot> orphans_, touched_, watched_;
  std::vector<Outside> moments_;  // what the group showed after each move since it was built, restored or not
  Slot built_size_ = 0;
  int block_bits_ = 0;  // of the number of a slot within its block
  Reach reach_ = Reach::everywhere;
  std::uint64_t order_ = 0;  // of equal keys
  double least_factor_ = 0;
  State state_, saved_;
  bool has_saved_ = false;
};

inline bool WorkingSet::matches_recount() const {
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

#endif  // OSLOM_WORKING_SET_H
