// Cleaning one group: which vertices does it significantly have (sections 4.2-4.6; paper, "Single
// cluster analysis")?
//
// One pass takes the worst member out until the best of the outsiders are significant with respect
// to what is left; these are then added. In a restricted pass only vertices of the original group may
// come back. Passes differ by how equals are ordered, so they are repeated and the largest result
// counts if most passes find one. A group that does not survive is inflated by some of its best
// neighbours and tried again.
#ifndef OSLOM_CLEANUP_H
#define OSLOM_CLEANUP_H

#include <algorithm>
#include <vector>

#include "border_test.h"
#include "study.h"

namespace oslom {

// A group and the probability ("bs") of finding its border in a random graph.
struct Module {
  Members members;
  double probability = 1;
  bool empty() const { return members.empty(); }
  std::size_t size() const { return members.size(); }
};

enum class Reach { everywhere, inside };  // whom a cleaned group may contain: anybody, its own members

constexpr int full_passes = 25;
constexpr int inflation_passes = 3;
constexpr double good_share = 0.55;

// The states in which a border test has failed. The jitter that orders equals cannot turn a failure
// into a success, so the other passes over the same group need not repeat these tests.
class FailedStates {
 public:
  FailedStates() : fingerprints_(capacity, 0) {}

  void start(Random& random) { salt_ = random.bits(); }
  bool contains(std::uint64_t fingerprint) const { return place(fingerprint) == (fingerprint ^ salt_); }
  void add(std::uint64_t fingerprint) { place(fingerprint) = fingerprint ^ salt_; }

 private:
  static constexpr std::size_t capacity = 512;

  std::uint64_t& place(std::uint64_t fingerprint) { return fingerprints_[fingerprint % capacity]; }
  const std::uint64_t& place(std::uint64_t fingerprint) const { return fingerprints_[fingerprint % capacity]; }

  std::uint64_t salt_ = 0;
  std::vector<std::uint64_t> fingerprints_;
};

class Cleaner {
 public:
  Cleaner(Study& study, Random& random) : study_(study), set_(study.set), random_(random) {}

  // CLEAN of section 4.4; an empty module if the group is not significant.
  Module clean(const Members& group, Reach reach, int passes = full_passes) {
    if (hopeless(group, reach)) return {};
    passes = affordable_passes(group.size(), passes);
    set_.build(group);
    set_.save();
    failures_.start(random_);
    Module best;
    for (int done = 0, good = 0; good_enough(good + passes - done, passes); ++done) {
      if (done > 0) set_.restore();
      if (!one_pass(reach)) continue;
      keep_larger(best);
      if (good_enough(++good, passes)) return best;
    }
    return {};
  }

  Module search(const Members& group) { return clean(group, Reach::everywhere); }
  Module check(const Members& group) { return clean(group, Reach::inside); }
  // In directed graphs, as in the original program, CHECK of the group as it was: the search is wasted.
  Module search_and_check(const Members& group) { return check(directed ? group : search(group).members); }

  // Searching again while the group stays larger than it was.
  Module iterate(const Members& group) {
    Module found = search_and_check(group);
    for (int round = 0; round < 10 && (round == 0 || found.size() > group.size()); ++round)
      found = search(found.members);
    return found;
  }

  Module inflate(const Members& group) {
    Module found = iterate(group);
    for (int attempt = 0; attempt < 5 && found.empty(); ++attempt) {
      const Members larger = grown(group);
      if (larger.size() == static_cast<std::size_t>(study_.graph.num_vertices())) return {};
      found = clean(larger, Reach::everywhere, inflation_passes);
      if (!found.empty()) found = check(found.members);
    }
    return found;
  }

 private:
  // Nothing can come of an empty group, the whole graph, or one vertex that may not gain another.
  bool hopeless(const Members& group, Reach reach) const {
    return group.empty() || group.size() == static_cast<std::size_t>(study_.graph.num_vertices()) ||
           (group.size() == 1 && reach == Reach::inside);
  }

  static int affordable_passes(std::size_t size, int passes) {
    if (size > 100000) return 3;
    if (size > 10000) return 5;
    return size > 1000 ? 10 : passes;
  }

  static bool good_enough(int good, int passes) { return good >= good_share * passes; }

  bool one_pass(Reach reach) {
    for (;;) {
      if (!failures_.contains(set_.fingerprint())) {
        verdict_ = test_border(reach);
        if (verdict_.accepted > 0) return true;
        failures_.add(set_.fingerprint());
      }
      if (set_.size() == 0) return false;
      set_.remove(worst_member());
    }
  }

  Slot worst_member() {
    const Few few = set_.worst_members(choices);
    Slot worst = few.slot[0];
    double largest = -1;
    for (int i = 0; i < few.count; ++i) {
      const double score = set_.random_member_score(few.slot[i], random_);
      if (score > largest) largest = score, worst = few.slot[i];
    }
    return worst;
  }

  BorderVerdict test_border(Reach reach) {
    if (reach == Reach::inside && set_.size() == set_.built_size()) return {0, 1};
    collect_candidates(reach);
    if (candidates_.empty()) return {0, 1};
    std::sort(candidates_.begin(), candidates_.end(),
              [](const Candidate& a, const Candidate& b) { return a.score < b.score; });
    const Count n = study_.graph.weighted() ? set_.border() : set_.outside().vertices;
    return BorderTest(candidates_, study_.probabilities.order.for_border(n), study_.probabilities.order.binomial()).run();
  }

  // Section 4.2: the border is walked in order of keys until six exact scores were too large.
  // An exact score costs less than keeping that order, so whole ranges of keys are looked
  // at, and what lies behind the sixth miss is dropped afterwards.
  void collect_candidates(Reach reach) {
    const Outside outside = set_.outside();
    set_limits(std::min(100.0 / static_cast<double>(outside.vertices), 0.1));
    candidates_.clear();
    missed_.clear();
    gather(-1, limits_.key, reach == Reach::inside ? set_.built_size() : set_.num_slots());
    offer_gathered(reach, outside);
    if (missed_.size() > tolerated_misses) return forget_after_misses();
    if (all_next_missed(reach, outside)) return;
    double from = limits_.key;
    for (double to : {limits_.far_key, 1.0}) {
      if (missed_.size() > tolerated_misses) break;
      gather(from, to, set_.num_slots());
      offer_gathered(reach, outside);
      from = to;
    }
    if (missed_.size() > tolerated_misses) forget_after_misses();
  }

  void set_limits(double largest) {
    if (limits_.score == largest) return;
    limits_ = {largest, study_.scores.key_of(largest), study_.scores.key_of(3 * largest)};
  }

  // Border vertices of the first slots with from < key <= to.
  void gather(double from, double to, Slot num_slots) {
    order_.resize(static_cast<std::size_t>(num_slots));
    const double* scores = set_.border_keys();
    std::size_t count = 0;
    for (Slot slot = 0; slot < num_slots; ++slot) {
      order_[count] = slot;
      count += static_cast<std::size_t>((scores[slot] > from) & (scores[slot] <= to));
    }
    order_.resize(count);
  }

  void offer_gathered(Reach reach, const Outside& outside) {
    for (Slot slot : order_)
      if (!offer(slot, reach, outside)) missed_.push_back(set_.border_key(slot));
  }

  // Whether the walk ends with the next best vertices by key, as it mostly does.
  bool all_next_missed(Reach reach, const Outside& outside) {
    const std::size_t candidates = candidates_.size(), misses = missed_.size();
    const Few next = set_.best_border(limits_.key, static_cast<int>(tolerated_misses + 1 - misses));
    for (int i = 0; i < next.count && candidates_.size() == candidates; ++i)
      if (!offer(next.slot[i], reach, outside)) missed_.push_back(next.score[i]);
    if (candidates_.size() == candidates) return true;
    candidates_.resize(candidates);
    missed_.resize(misses);
    return false;
  }

  void forget_after_misses() {
    const auto last = missed_.begin() + tolerated_misses;
    std::nth_element(missed_.begin(), last, missed_.end());
    candidates_.erase(std::remove_if(candidates_.begin(), candidates_.end(),
                                     [&](const Candidate& c) { return set_.border_key(c.who) > *last; }),
                      candidates_.end());
  }

  // False if the vertex is a miss. Outsiders that are not allowed are judged by their key.
  bool offer(Slot slot, Reach reach, const Outside& outside) {
    if (reach == Reach::inside && slot >= set_.built_size()) return set_.border_key(slot) <= limits_.key;
    const ScoreInterval interval = set_.test_score(slot, outside, random_);
    if (interval.score > limits_.score) return false;
    candidates_.push_back({interval.score, interval.half, slot});
    return true;
  }

  void keep_larger(Module& best) const {
    const std::size_t size = static_cast<std::size_t>(set_.size()) + verdict_.accepted;
    if (size <= best.size()) return;
    best.members.clear();
    for (Slot slot : set_.members()) best.members.push_back(set_.vertex(slot));
    for (std::size_t i = 0; i < verdict_.accepted; ++i) best.members.push_back(set_.vertex(candidates_[i].who));
    std::sort(best.members.begin(), best.members.end());
    best.probability = verdict_.probability;
  }

  // The group with a random number of its best neighbours.
  Members grown(const Members& group) {
    set_.build(group);
    const Stubs size = std::min(study_.inflation_sizes.draw(random_), set_.border());
    for (Stubs i = 0; i < size; ++i) {
      const Slot best = best_neighbour();
      if (best >= 0) set_.insert(best);
    }
    Members larger;
    for (Slot slot : set_.members()) larger.push_back(set_.vertex(slot));
    std::sort(larger.begin(), larger.end());
    return larger;
  }

  Slot best_neighbour() {
    const Few few = set_.best_border(-1, choices);
    Slot best = -1;
    double smallest = 1;
    for (int i = 0; i < few.count; ++i) {
      const double score = set_.random_border_score(few.slot[i], random_);
      if (score < smallest) smallest = score, best = few.slot[i];
    }
    return best;
  }

  static constexpr std::size_t tolerated_misses = 5;
  static constexpr int choices = 5;  // the worst member and the best neighbour are drawn among so many

  // The largest score of a candidate, its key, and the key of three times this score.
  struct Limits {
    double score, key, far_key;
  };

  Study& study_;
  WorkingSet& set_;
  Random& random_;
  std::vector<Candidate> candidates_;
  std::vector<Slot> order_;
  std::vector<double> missed_;  // keys of vertices whose exact score is too large
  BorderVerdict verdict_{0, 1};
  Limits limits_{-1, 0, 0};
  FailedStates failures_;
};

}  // namespace oslom

#endif  // OSLOM_CLEANUP_H
