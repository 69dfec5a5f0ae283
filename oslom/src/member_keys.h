// The keys of a group's members: who fits worst.
//
// A member's key is computed only if it may be among the largest: until then an upper bound stands for it, which is
// renewed when the member's links change.
#ifndef OSLOM_MEMBER_KEYS_H
#define OSLOM_MEMBER_KEYS_H

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "membership.h"

namespace oslom {

class MemberKeys {
 public:
  // many_slots: from here on they have blocks.
  MemberKeys(const Membership& group, const Scores& scores, Slot many_slots)
      : group_(group), scores_(scores), many_slots_(many_slots) {}

  // Of the group as it was built. Equal keys go by `order`.
  void build(std::uint64_t order) {
    order_ = order;
    const std::size_t num_slots = static_cast<std::size_t>(group_.num_slots());
    state_.key.assign(num_slots, unknown), state_.fall.assign(num_slots, 0);
    state_.blocks.begin(group_.num_slots(), many_slots_);
    const Outside now = group_.outside();
    const Scores::MemberFall fall(scores_, now);
    for (Slot slot : group_.members()) bound(slot, fall);
  }
  void save() { saved_ = state_; }
  void restore() { state_ = saved_; }

  // The group has more slots than before.
  void grow() {
    const std::size_t num_slots = static_cast<std::size_t>(group_.num_slots());
    state_.key.resize(num_slots, unknown), state_.fall.resize(num_slots, 0);
    state_.blocks.grow(group_.num_slots());
  }
  // Of a member whose links have changed. `fall` of the present state.
  void bound(Slot slot, const Scores::MemberFall& fall) {
    state_.key[slot] = unknown;
    state_.fall[slot] = fall(group_.links(slot), group_.degree(slot));
    set_stale(slot);
  }
  // The slot is a member no more.
  void forget(Slot slot) { set_stale(slot); }

  // The members with the largest keys (as negative numbers in Few::values). Of keys that are known by an upper bound
  // only those that matter are computed.
  Few worst() {
    if (!state_.blocks.none()) return worst_by_blocks();
    Few few(order_);
    double least = 0;  // keys below it are refused; those that are not known are negative
    const auto offer = [&](Slot slot) {
      if (state_.key[slot] < least) return;
      few.offer(slot, -state_.key[slot]);
      if (few.full()) least = -few.worst();
    };
    for (Slot slot : group_.members()) offer(slot);
    double furthest = -std::log(least);
    for (Slot slot : group_.members()) {
      if (!(state_.fall[slot] < furthest)) continue;
      tighten_bound(slot);
      if (!(state_.fall[slot] < furthest)) continue;
      renew(slot);
      offer(slot);
      furthest = -std::log(least);
    }
    return few;
  }

  // Not of the age of the keys: with draws from old tails random graphs are full of modules. `outside` is fresh.
  double random_key(Slot slot, const Outside& outside, Random& random) const {
    return scores_.member_at_step(group_.links(slot), group_.degree(slot), group_.weight_part(slot), outside,
                                  random.uniform());
  }

 private:
  static constexpr double bounded = -1;  // a key of which no more is known than a bound with its weights

  struct Block {
    bool stale = true;  // whether the rest is to be found out again
    Slot worst = -1;  // the member with the largest known key, if there is one
    double least_fall = 0;  // of the members whose keys are not known
  };

  // visit(slot) for the members of a block.
  template <typename Visit>
  void for_each_member(std::size_t block, Visit visit) {
    const Slot end = std::min(state_.blocks.first(block + 1), group_.num_slots());
    for (Slot slot = state_.blocks.first(block); slot < end; ++slot)
      if (group_.is_member(slot)) visit(slot);
  }
  void look_into(std::size_t number) {
    Smallest<1> worst(order_);
    Block& block = state_.blocks[number];
    block.least_fall = std::numeric_limits<double>::infinity();
    for_each_member(number, [&](Slot slot) {
      if (state_.key[slot] >= 0) worst.offer(slot, -state_.key[slot]);
      else block.least_fall = std::min(block.least_fall, state_.fall[slot]);
    });
    block.worst = worst.full() ? worst.slot[0] : -1;
    block.stale = false;
  }
  // The worst members are in the blocks with the worst of all blocks' worst members.
  Few worst_by_blocks() {
    Few blocks(order_), few(order_);
    for (std::size_t block = 0; block < state_.blocks.count(); ++block) {
      if (state_.blocks[block].stale) look_into(block);
      const Slot worst = state_.blocks[block].worst;
      if (worst >= 0) blocks.offer(worst, -state_.key[worst]);
    }
    for (int i = 0; i < blocks.count; ++i)
      for_each_member(state_.blocks.number(blocks.slot[i]), [&](Slot slot) {
        if (state_.key[slot] >= 0) few.offer(slot, -state_.key[slot]);
      });
    double furthest = few.full() ? -std::log(-few.worst()) : std::numeric_limits<double>::infinity();
    for (std::size_t block = 0; block < state_.blocks.count(); ++block) {
      if (!(state_.blocks[block].least_fall < furthest)) continue;
      for_each_member(block, [&](Slot slot) {
        if (!(state_.fall[slot] < furthest)) return;
        tighten_bound(slot);
        if (!(state_.fall[slot] < furthest)) return;
        renew(slot);
        few.offer(slot, -state_.key[slot]);
        if (few.full()) furthest = -std::log(-few.worst());
      });
    }
    return few;
  }

  void renew(Slot slot) {
    state_.key[slot] = scores_.member_key(group_.links(slot), group_.degree(slot), group_.weight_part(slot),
                                          group_.outside_then(slot));
    state_.fall[slot] = std::numeric_limits<double>::infinity();
    set_stale(slot);
  }
  // The weights, too, say how small a key is, and cost less than its tail.
  void tighten_bound(Slot slot) {
    if (state_.key[slot] == unknown && group_.weighted()) state_.fall[slot] -= std::log(group_.weight_part(slot));
    state_.key[slot] = bounded;
    set_stale(slot);
  }
  void set_stale(Slot slot) {
    if (!state_.blocks.none()) state_.blocks.of(slot).stale = true;
  }

  // One entry per slot; what outsiders have there does not matter.
  struct State {
    std::vector<double> key;  // unknown or bounded until it matters
    std::vector<double> fall;  // an unknown key, divided by its weight part, is at most exp(-fall), a bounded one
                               // itself; else infinite
    Blocks<Block> blocks;
  };

  const Membership& group_;
  const Scores& scores_;
  Slot many_slots_;
  std::uint64_t order_ = 0;  // of equal keys
  State state_, saved_;
};

}  // namespace oslom

#endif  // OSLOM_MEMBER_KEYS_H
