// A group under analysis together with its border (METHOD.md 5.1): who belongs to it, the keys of its members, and the
// keys of its outsiders, which follow every move.
//
// A key grows with the mid score of a vertex and is as old as the last change of its links: keys put vertices in an
// order and decide nothing; whatever is decided is decided by fresh ones.
//
// Approach: what a move changes are flat arrays with an entry per slot; save() and restore() copy them. Moving a vertex
// makes the keys of its neighbours unknown.
#ifndef OSLOM_WORKING_SET_H
#define OSLOM_WORKING_SET_H

#include "border_keys.h"
#include "member_keys.h"
#include "membership.h"

namespace oslom {

class WorkingSet {
 public:
  WorkingSet(const Graph& graph, const Scores& scores, Slot many_slots = 4096)
      : scores_(scores), group_(graph, scores), member_keys_(group_, scores, many_slots),
        border_keys_(group_, scores, many_slots) {}
  WorkingSet(const WorkingSet&) = delete;
  WorkingSet& operator=(const WorkingSet&) = delete;

  const Membership& group() const { return group_; }
  MemberKeys& member_keys() { return member_keys_; }
  BorderKeys& border_keys() { return border_keys_; }

  // The snapshot of a group: keys are fresh. Equal keys go by `order`.
  void build(const Members& group, Reach reach, std::uint64_t order = 0) {
    group_.build(group);
    member_keys_.build(order);
    border_keys_.build(reach, order);
    saved_ = false;
  }

  // The state to come back to.
  void save() { group_.save(), member_keys_.save(), border_keys_.save(), saved_ = true; }
  bool saved() const { return saved_; }
  void restore() { group_.restore(), member_keys_.restore(), border_keys_.restore(); }

  void insert(Slot slot) {
    group_.insert(slot);
    member_keys_.grow(), border_keys_.grow();
    border_keys_.forget(slot);
    renew_touched([](Slot) { return true; });
  }

  // Takes a member out, and with it members that have lost their last link to the group.
  void remove(Slot slot) {
    group_.remove(slot, [this](Slot gone) {
      member_keys_.forget(gone);
      // Fewer links make a key larger, but lighter links may make it smaller.
      renew_touched([&](Slot touched) { return touched == gone || group_.weighted(); });
    });
  }

 private:
  template <typename MayFall>
  void renew_touched(MayFall may_fall) {
    const Outside now = group_.outside();
    const Scores::MemberFall fall(scores_, now);
    for (Slot slot : group_.touched())
      if (group_.is_member(slot)) member_keys_.bound(slot, fall);
      else border_keys_.renew(slot, may_fall(slot));
  }

  const Scores& scores_;
  Membership group_;
  MemberKeys member_keys_;
  BorderKeys border_keys_;
  bool saved_ = false;
};

}  // namespace oslom

#endif  // OSLOM_WORKING_SET_H
