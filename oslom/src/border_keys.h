// The keys of a group's outsiders: who might belong to it.
//
// Two questions are asked. While a group loses members: whose fresh key is small (for_each_up_to)? An outsider is
// looked at again only when the group has become so sparse that it may matter. While it grows: whose old key, of the
// last change of the links, is smallest (nearest)? An old key is computed when it is asked for, which is rare, from
// what the group showed then.
#ifndef OSLOM_BORDER_KEYS_H
#define OSLOM_BORDER_KEYS_H

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "membership.h"

namespace oslom {

enum class Reach { everywhere, inside };  // whom a cleaned group may contain: anybody, its own members

class BorderKeys {
 public:
  // many_slots: from here on they have blocks.
  BorderKeys(const Membership& group, const Scores& scores, Slot many_slots)
      : group_(group), scores_(scores), many_slots_(many_slots) {}

  // Of the group as it was built. Equal keys go by `order`.
  void build(Reach reach, std::uint64_t order) {
    reach_ = reach;
    order_ = order;
    const std::size_t num_slots = static_cast<std::size_t>(group_.num_slots());
    state_.alert.assign(static_cast<std::size_t>(group_.built_size()), not_in_border);
    state_.alert.resize(num_slots, never_safe);
    state_.key.assign(num_slots, unknown), state_.is_near.assign(num_slots, 0);
    state_.near.clear();
    state_.all_nearer = 0;
    state_.blocks.begin(group_.num_slots(), many_slots_);
    const Outside now = group_.outside();
    state_.least = now;
    least_factor_ = border_factor(now.vertices, group_.num_slots());
  }
  void save() { saved_ = state_; }
  void restore() { state_ = saved_; }

  // The group has more slots than before.
  void grow() {
    const std::size_t num_slots = static_cast<std::size_t>(group_.num_slots());
    state_.alert.resize(num_slots, not_in_border), state_.key.resize(num_slots, unknown);
    state_.is_near.resize(num_slots, 0);
    state_.blocks.grow(group_.num_slots());
  }
  // The slot is an outsider no more.
  void forget(Slot slot) { state_.alert[slot] = not_in_border; }
  // Of an outsider whose links have changed, or that was a member. `may_fall`: whether that can make a key smaller.
  void renew(Slot slot, bool may_fall) {
    if (!group_.links(slot).any()) state_.alert[slot] = not_in_border;
    else if (may_fall) state_.alert[slot] = never_safe, raise_block(slot);
    state_.key[slot] = unknown;
    if (state_.all_nearer > 0 && old_key(slot, 0) < state_.all_nearer) call_near(slot);
  }

  // The calls below that take it want `outside` fresh.

  // Of an outsider; keys above `bound` need not be right.
  double key(Slot slot, const Outside& outside, double bound = 2) const {
    return scores_.key(group_.links(slot), group_.degree(slot), group_.weight_part(slot), outside, bound);
  }
  // visit(slot, key) for all outsiders in reach whose key is at most `bound`. The bound may not grow while members
  // leave: what is far above it is not looked at again before the group has become sparse enough.
  template <typename Visit>
  void for_each_up_to(double bound, const Outside& outside, Visit visit) {
    Scores::keep_least(state_.least, outside);
    const std::size_t count = watch(Scores::density(state_.least, outside));
    const Scores::SafeDensity safe_density(scores_, outside, least_factor_, bound);
    for (std::size_t i = 0; i < count; ++i) {
      const Slot slot = watched_[i];
      const double key = this->key(slot, outside, bound);
      if (key <= bound) visit(slot, key);
      else state_.alert[slot] = safe_density(key, group_.links(slot), group_.degree(slot));
      raise_block(slot);
    }
  }

  // Of a border vertex: its key when its links changed last. Keys above `bound` need not be right.
  double old_key(Slot slot, double bound = std::numeric_limits<double>::infinity()) {
    double& known = state_.key[slot];
    if (known == unknown)
      known = -scores_.key_floor(group_.links(slot), group_.degree(slot), group_.weight_part(slot),
                                 group_.outside_then(slot));
    if (known < 0 && -known <= bound)
      known = scores_.single_key(group_.links(slot), group_.degree(slot), group_.weight_part(slot),
                                 group_.outside_then(slot));
    return std::abs(known);
  }
  // The n-th smallest old key of the border vertices, members or not in reach, whose key is now above `limit`; `most`
  // if that is above it.
  template <int n>
  double nth_miss(double limit, double most, const Outside& outside) {
    Smallest<n> misses;
    for (Slot slot = 0; slot < group_.num_slots(); ++slot) {
      if (!group_.in_border(slot)) continue;
      const double bound = std::min(misses.worst(), most), old = old_key(slot, bound);
      if (old < bound && key(slot, outside, limit) > limit) misses.offer(slot, old);
    }
    return std::min(misses.worst(), most);
  }
  // The border vertices with the smallest old keys. These change only with links, so as long as the best of those that
  // were near before, or were touched since, are nearer than all others were, nobody else is looked at.
  Few nearest() {
    const Few few = nearest_of_near();
    if (few.full() && few.worst() < state_.all_nearer && state_.near.size() <= 3 * most_near) return few;
    find_near();
    return nearest_of_near();
  }

  ScoreInterval test_score(Slot slot, const Outside& outside, Random& random) const {
    return scores_.test(group_.links(slot), group_.degree(slot), group_.weight_part(slot), outside, random);
  }
  double random_key(Slot slot, const Outside& outside, Random& random) const {
    return scores_.at_step(group_.links(slot), group_.degree(slot), group_.weight_part(slot), outside,
                           random.uniform());
  }

 private:
  static constexpr int most_near = 16;
  static constexpr double not_in_border = -1;  // an alert density that is below all

  struct Block {
    double most_alert = never_safe;  // no slot's alert is above it
  };

  // Slots of vertices that may become members.
  Slot end_of_interest() const { return reach_ == Reach::inside ? group_.built_size() : group_.num_slots(); }

  void raise_block(Slot slot) {
    if (state_.blocks.none()) return;
    double& most = state_.blocks.of(slot).most_alert;
    most = std::max(most, state_.alert[slot]);
  }

  // How many are to be looked at; watched_ begins with them. Without branches, as nobody can predict which ones.
  std::size_t watch(double density) {
    const std::size_t num_slots = static_cast<std::size_t>(group_.num_slots());
    if (watched_.size() < num_slots) watched_.resize(num_slots);
    if (state_.blocks.none()) return watch(density, 0, end_of_interest(), 0);
    std::size_t count = 0;
    for (std::size_t block = 0; block < state_.blocks.count() && state_.blocks.first(block) < end_of_interest();
         ++block)
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
    const Slot begin = state_.blocks.first(block), end = std::min(state_.blocks.first(block + 1), end_of_interest());
    double most = not_in_border;
    for (Slot slot = begin; slot < end; ++slot)
      if (state_.alert[slot] < density) most = std::max(most, state_.alert[slot]);
    state_.blocks[block].most_alert = most;
    return watch(density, begin, end, count);
  }

  Few nearest_of_near() {
    Few few(order_);
    for (Slot slot : state_.near)
      if (group_.in_border(slot)) few.offer(slot, old_key(slot, few.worst()));
    return few;
  }
  void find_near() {
    Smallest<most_near> nearest(order_);
    for (Slot slot = 0; slot < group_.num_slots(); ++slot)
      if (group_.in_border(slot)) nearest.offer(slot, old_key(slot, nearest.worst()));
    for (Slot slot : state_.near) state_.is_near[slot] = 0;
    state_.near.clear();
    for (int i = 0; i < nearest.count; ++i) call_near(nearest.slot[i]);
    state_.all_nearer = nearest.worst();
  }
  void call_near(Slot slot) {
    if (!state_.is_near[slot]) state_.near.push_back(slot);
    state_.is_near[slot] = 1;
  }

  // All vectors but near have one entry per slot; what members have there does not matter, but for their alert.
  struct State {
    std::vector<double> alert;  // the density down to which an outsider's key is above the bound
    std::vector<double> key;  // the old one; unknown until asked for; negative: not below its opposite
    std::vector<Slot> near;  // among others all border vertices whose old keys are below all_nearer
    std::vector<char> is_near;  // whether a slot is listed there
    double all_nearer = 0;
    Outside least{};  // of the stubs that left the group since it was built
    Blocks<Block> blocks;
  };

  const Membership& group_;
  const Scores& scores_;
  Slot many_slots_;
  std::vector<Slot> watched_;
  Reach reach_ = Reach::everywhere;
  std::uint64_t order_ = 0;  // of equal keys
  double least_factor_ = 0;
  State state_, saved_;
};

}  // namespace oslom

#endif  // OSLOM_BORDER_KEYS_H
