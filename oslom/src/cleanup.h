// Cleaning one group: which vertices does it significantly have (METHOD.md 5; paper, "Single
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
#include <cassert>
#include <utility>
#include <vector>

#include "border_test.h"
#include "module.h"
#include "study.h"

namespace oslom {

constexpr int fruitful_passes = 6;
constexpr double mostly = 0.8;
constexpr int telling_passes = 3;
constexpr std::size_t telling_size = 200;

// How often a group is cleaned: at most so many passes, of which so many have to be good, and given up if the first few
// all failed.
struct Effort {
  int passes, good, fruitless;
};

// More than 0.55 of the passes have to be good. After four that failed at most one group in a hundred would go on to 14
// good ones of 25, whatever the chance of a pass.
constexpr Effort full_effort{25, 14, 4};
// Two good passes of three, without the second where the first has failed, as the passes of most groups agree; the
// fourth makes up for that: of groups with a small chance c of a pass 3 c^2 are let through either way.
constexpr Effort inflation_effort{4, 2, 1};

inline Effort affordable(Effort effort, std::size_t size) {
  if (size > 100000) return {3, 2, 2};
  if (size > 10000) return {5, 3, 3};
  return size > 1000 ? Effort{10, 6, 4} : effort;
}

// Whether enough passes may still succeed.
inline bool worth_another(int good, int done, Effort effort) {
  return good + effort.passes - done >= effort.good && (good > 0 || done < effort.fruitless);
}

// Whether other passes would hardly change that most are good: four groups in a thousand at most, whatever the chance.
inline bool all_good(int good, int done) { return good == done && done >= fruitful_passes; }

// Whether most of a group will hardly be left after the other passes either, as passes over a large group differ by
// less: of 97 unions of 200 or more on the reference graphs none rose from 0.6 of itself in three passes above 0.8
// in 14.
inline bool far_from_most(std::size_t size, int good, std::size_t largest) {
  return size >= telling_size && good == telling_passes &&
         static_cast<double>(largest) <= 0.75 * mostly * static_cast<double>(size);
}

enum class Wanted { anything, most };

class Cleaner {
 public:
  Cleaner(Study& study, Random& random) : study_(study), set_(study.set), seed_(study.seed), random_(random) {}

  // CLEAN of METHOD.md 5.4; an empty module if the group is not significant.
  Module clean(const Members& group, Reach reach, Effort effort = full_effort, Wanted wanted = Wanted::anything) {
    if (hopeless(group, reach)) return {};
    effort = affordable(effort, group.size());
    salt_ = random_.bits();
    set_.build(group, reach, salt_);
    scope_ = reach == Reach::inside ? Random(set_.group().fingerprint()).bits() : 0;
    Module best;
    for (int done = 0, good = 0; worth_another(good, done, effort);) {
      if (done > 0 && set_.saved()) set_.restore();
      ++done;
      if (!one_pass(reach)) continue;
      keep_larger(best);
      const bool largest = reach == Reach::inside && best.size() == group.size();
      if (++good >= effort.good || (largest && all_good(good, done))) return best;
      if (wanted == Wanted::most && far_from_most(group.size(), good, best.size())) return {};
    }
    return {};
  }

  Module search(const Members& group) { return clean(group, Reach::everywhere); }
  Module check(const Members& group) { return clean(group, Reach::inside); }
  // CHECK, if most of the group is left.
  Module check_most(const Members& group) {
    Module found = clean(group, Reach::inside, full_effort, Wanted::most);
    const bool most = static_cast<double>(found.size()) > mostly * static_cast<double>(group.size());
    return most ? std::move(found) : Module{};
  }
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
      if (attempt == 0) sow(group);
      const Members larger = grown();
      if (larger.size() == static_cast<std::size_t>(study_.graph.num_vertices())) return {};
      found = clean(larger, Reach::everywhere, inflation_effort);
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

  bool one_pass(Reach reach) {
    for (;;) {
      if (passes_test(reach)) return true;
      if (set_.group().size() == 0) return false;
      if (!set_.saved()) set_.member_keys().worst(), set_.save();  // with what all passes find out first
      set_.remove(worst_member());
    }
  }

  Slot worst_member() {
    const Few few = set_.member_keys().worst();
    const Outside outside = set_.group().outside();
    Slot worst = few.slot[0];
    double largest = -1;
    for (int i = 0; i < few.count; ++i) {
      const double key = set_.member_keys().random_key(few.slot[i], outside, random_);
      if (key > largest) largest = key, worst = few.slot[i];
    }
    return worst;
  }

  // The border test, unless it is known to fail. Where no candidate can be significant it fails for these members
  // whatever happened before, which is remembered as long as the study lasts. Else the way to these members counts (old
  // keys), and the other passes over the same group need not repeat what failed: jitter cannot turn it into a success.
  bool passes_test(Reach reach) {
    if (reach == Reach::inside && set_.group().size() == set_.group().built_size()) return false;
    const std::uint64_t everywhere = set_.group().fingerprint() ^ scope_, here = set_.group().fingerprint() ^ salt_;
    assert(!study_.hopeless.contains(everywhere) || !promising(set_.group().outside()));
    if (study_.hopeless.contains(everywhere) || study_.failed.contains(here)) return false;
    const Outside outside = set_.group().outside();
    if (!promising(outside)) return study_.hopeless.add(everywhere), false;
    verdict_ = test_border(outside);
    if (verdict_.accepted == 0) study_.failed.add(here);
    return verdict_.accepted > 0;
  }

  // Whether a candidate may be significant; the candidates are sorted then.
  bool promising(const Outside& outside) {
    CriticalScores& critical = critical_scores(outside);
    collect_candidates(outside);
    if (candidates_.empty() || !may_accept(candidates_, critical)) return false;
    sort_candidates();
    return any_significant(candidates_, critical);
  }

  BorderVerdict test_border(const Outside& outside) {
    CriticalScores& critical = critical_scores(outside);
    if (drop_unreached(outside) && !any_significant(candidates_, critical)) return {0, 1};
    for (Candidate& candidate : candidates_) {
      const ScoreInterval interval = set_.border_keys().test_score(candidate.who, outside, random_);
      candidate = {interval.score, interval.half, candidate.who};
    }
    sort_candidates();
    return BorderTest(candidates_, critical, study_.probabilities.order.binomial()).run();
  }

  CriticalScores& critical_scores(const Outside& outside) {
    return study_.probabilities.order.for_border(study_.graph.weighted() ? outside.border : outside.vertices);
  }

  void sort_candidates() {
    std::sort(candidates_.begin(), candidates_.end(),
              [](const Candidate& a, const Candidate& b) { return a.score < b.score; });
  }

  // Everybody in reach whose score is small enough.
  void collect_candidates(const Outside& outside) {
    set_limits(std::min(100.0 / static_cast<double>(outside.vertices), 0.1));
    candidates_.clear();
    set_.border_keys().for_each_up_to(limits_.key, outside, [&](Slot slot, double key) {
      candidates_.push_back({study_.scores.score_of(key), 0, slot});
    });
  }

  // METHOD.md 5.2: the border is walked in the order of keys that may be old, until six exact scores were too large,
  // and the candidates behind them are not seen. That only takes ranks from others, so it comes after a first
  // judgement.
  bool drop_unreached(const Outside& outside) {
    double last = 0;
    for (const Candidate& candidate : candidates_) last = std::max(last, set_.border_keys().old_key(candidate.who));
    const double reached = set_.border_keys().nth_miss<6>(limits_.key, last, outside);
    const auto seen = std::remove_if(candidates_.begin(), candidates_.end(),
                                     [&](const Candidate& c) { return set_.border_keys().old_key(c.who) > reached; });
    const bool any = seen != candidates_.end();
    candidates_.erase(seen, candidates_.end());
    return any;
  }

  void set_limits(double largest) {
    if (limits_.score != largest) limits_ = {largest, study_.scores.key_of(largest)};
  }

  void keep_larger(Module& best) const {
    const std::size_t size = static_cast<std::size_t>(set_.group().size()) + verdict_.accepted;
    if (size <= best.size()) return;
    best.members.clear();
    for (Slot slot : set_.group().members()) best.members.push_back(set_.group().vertex(slot));
    for (std::size_t i = 0; i < verdict_.accepted; ++i) best.members.push_back(set_.group().vertex(candidates_[i].who));
    std::sort(best.members.begin(), best.members.end());
    best.probability = verdict_.probability;
  }

  void sow(const Members& group) {
    seed_.build(group, Reach::everywhere, random_.bits());
    seed_.border_keys().nearest();  // the keys are saved, too
    seed_.save();
  }

  // The sown group with a random number of its best neighbours.
  Members grown() {
    seed_.restore();
    const Stubs size = std::min(study_.inflation_sizes.draw(random_), seed_.group().border());
    for (Stubs i = 0; i < size; ++i) {
      const Slot best = best_neighbour();
      if (best >= 0) seed_.insert(best);
    }
    Members larger;
    for (Slot slot : seed_.group().members()) larger.push_back(seed_.group().vertex(slot));
    std::sort(larger.begin(), larger.end());
    return larger;
  }

  Slot best_neighbour() {
    const Few few = seed_.border_keys().nearest();
    const Outside outside = seed_.group().outside();
    Slot best = -1;
    double smallest = 1;
    for (int i = 0; i < few.count; ++i) {
      const double key = seed_.border_keys().random_key(few.slot[i], outside, random_);
      if (key < smallest) smallest = key, best = few.slot[i];
    }
    return best;
  }

  // The largest score of a candidate, and its key.
  struct Limits {
    double score, key;
  };

  Study& study_;
  WorkingSet& set_;
  WorkingSet& seed_;
  Random& random_;
  std::vector<Candidate> candidates_;
  BorderVerdict verdict_{0, 1};
  Limits limits_{-1, 0};
  std::uint64_t scope_ = 0;  // of the states of all groups, or of this one
  // Drawn for every cleaning: its states, and which of equals goes first, so that names do not matter.
  std::uint64_t salt_ = 0;
};

}  // namespace oslom

#endif  // OSLOM_CLEANUP_H
