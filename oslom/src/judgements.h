// What the analysis of a group found, kept for the other runs of a level.
//
// On a graph with clear communities the runs meet the same groups again and again. The analysis of a group is random,
// but depends on nothing else than the graph and the group; so its random numbers are named by the group, and its
// outcome is kept. Half of the runs, by the name of their own random numbers, share one outcome and half another, so
// that one unlucky draw does not decide for all runs.
//
// An outcome is a pure function of group and half: it does not matter which thread computes it first, or that two do.
#ifndef OSLOM_JUDGEMENTS_H
#define OSLOM_JUDGEMENTS_H

#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "module.h"
#include "study.h"

namespace oslom {

class Judgements {
 public:
  explicit Judgements(const Random& random) : random_(random) {}

  // The modules that analyse(random) finds for the group. `run`: the random numbers of the run that asks.
  template <typename Analyse>
  std::vector<Module> of(Phase phase, const Members& group, const Random& run, Analyse analyse) {
    const std::uint64_t half = Random(run).bits() >> 63;
    const auto key = std::make_tuple(phase, half, group);
    {
      const std::lock_guard<std::mutex> lock(guard_);
      const auto found = outcomes_.find(key);
      if (found != outcomes_.end()) return found->second;
    }
    std::vector<Module> outcome = analyse(random_.child(phase, hash(group) ^ half));
    const std::lock_guard<std::mutex> lock(guard_);
    return outcomes_.emplace(key, std::move(outcome)).first->second;
  }

 private:
  static std::uint64_t hash(const Members& group) {
    std::uint64_t state = group.size();
    for (Vertex v : group) state = splitmix64(state) ^ static_cast<std::uint64_t>(v);
    return splitmix64(state);
  }

  Random random_;
  std::mutex guard_;
  std::map<std::tuple<Phase, std::uint64_t, Members>, std::vector<Module>> outcomes_;
};

// The modules that analyse(random) finds for a group, whether another run has asked for it or not.
template <typename Analyse>
std::vector<Module> judged(Study& study, Phase phase, const Members& group, const Random& run, std::uint64_t index,
                           Analyse analyse) {
  return study.judgements ? study.judgements->of(phase, group, run, analyse) : analyse(run.child(phase, index));
}

}  // namespace oslom

#endif  // OSLOM_JUDGEMENTS_H
