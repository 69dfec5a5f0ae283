// The search of one level (METHOD.md 6.9, METHOD.md 7): several independent covers of the graph, pooled into
// one, and the homeless vertices.
#ifndef OSLOM_SEARCH_H
#define OSLOM_SEARCH_H

#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "homeless.h"
#include "judgements.h"
#include "level.h"
#include "louvain.h"
#include "overlaps.h"
#include "team.h"

namespace oslom {

// Told before the first run and after every run: level, runs done, runs in all.
using Progress = std::function<void(std::int64_t, std::int64_t, std::int64_t)>;

struct LevelPlan {
  std::int64_t runs = 0;
  bool keep_homeless = false;  // -singlet: homeless vertices join only modules that stay significant
  std::vector<Members> hint;  // -hint: groups that make one more cover, if there are any
  Modules load;               // -load: one more cover as it is
  std::int64_t louvain = 0;   // -louvain: so many more covers from partitions of high modularity
  Progress progress;          // may be called from any thread, one call at a time
  Team::PartDone part_done;   // of a single run; may be called from any thread, several at once
  std::int64_t level = 0;
};

// Parts and wholes, unions (not in the final pooling), overlaps: METHOD.md 6.9.
inline void settle_collection(Study& study, Modules& modules, bool with_unions, const Random& random) {
  drop_singletons(modules);
  if (modules.empty()) return;
  choose_parts_or_wholes(study, modules, random.child(Phase::parts));
  for (std::uint64_t round = 0; with_unions && round < 2; ++round)
    if (!unite_once(study, modules, random.child(Phase::unions, round))) break;
  OverlapResolver(study, modules, random.child(Phase::overlaps)).run();
  drop_singletons(modules);
  drop_duplicates(modules);
  prune(modules, study.graph.num_vertices());
}

// From significant groups to a cover.
inline Modules settled_cover(Study& study, Modules good, const Random& random) {
  Modules modules = minimal_modules(study, std::move(good), random);
  settle_collection(study, modules, true, random);
  return modules;
}

inline Modules one_cover(Study& study, const Random& random) {
  return settled_cover(study, raw_collection(study, random), random);
}

// A cover from groups that come from elsewhere.
inline Modules cover_from_groups(Study& study, const std::vector<Members>& groups, const Random& random) {
  Modules good;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    Random own = random.child(Phase::raw_group, i);
    Module module = Cleaner(study, own).search_and_check(groups[i]);
    if (!module.empty()) good.push_back(std::move(module));
  }
  return settled_cover(study, std::move(good), random);
}

inline Modules louvain_cover(Study& study, const Random& random) {
  return cover_from_groups(study, louvain_partition(study.graph, random.child(Phase::label_pass)), random);
}

// Work for the calling thread, which the others help with.
template <typename Work>
void with_helpers(Team& team, Work work) {
  Study& study = team.study();
  study.helpers = &team;
  work(study);
  study.helpers = nullptr;
}

// All covers of a level that are not empty, in the order runs, hint, load, louvain.
class Covers {
 public:
  Covers(Team& team, const LevelPlan& plan, const Random& random) : team_(team), plan_(plan), random_(random) {}

  std::vector<Modules> all() {
    const std::int64_t jobs = hint_ + 1 + plan_.louvain, empty = plan_.hint.empty() ? 1 : 0;
    if (plan_.progress && runs() > 0) plan_.progress(plan_.level, 0, runs());
    const auto job = [this](std::int64_t index, Study& study) { keep(index, cover(index, study)); };
    if (jobs - empty > 1) team_.run(jobs, job);
    else
      with_helpers(team_, [&](Study& study) {
        for (std::int64_t index = 0; index < jobs; ++index) job(index, study);
      });
    if (!plan_.load.empty()) found_.push_back({hint_, plan_.load});
    std::stable_sort(found_.begin(), found_.end(), [](const Found& a, const Found& b) { return a.index < b.index; });
    std::vector<Modules> covers;
    for (Found& found : found_) covers.push_back(std::move(found.cover));
    return covers;
  }

 private:
  struct Found {
    std::int64_t index;
    Modules cover;
  };

  std::int64_t runs() const { return plan_.runs + plan_.louvain; }

  // Jobs: the runs, the hint, the Louvain covers.
  Modules cover(std::int64_t index, Study& study) const {
    const std::uint64_t number = static_cast<std::uint64_t>(index);
    if (index < hint_) return one_cover(study, random_.child(Phase::run, number));
    if (index > hint_)
      return louvain_cover(study, random_.child(Phase::louvain, number - static_cast<std::uint64_t>(hint_) - 1));
    return plan_.hint.empty() ? Modules{} : cover_from_groups(study, plan_.hint, random_.child(Phase::hint));
  }

  void keep(std::int64_t index, Modules cover) {
    const std::lock_guard<std::mutex> lock(guard_);
    if (!cover.empty()) found_.push_back({index, std::move(cover)});
    if (index != hint_ && plan_.progress) plan_.progress(plan_.level, ++done_, runs());
  }

  Team& team_;
  const LevelPlan& plan_;
  Random random_;
  std::int64_t hint_ = plan_.runs;  // index of this job
  std::int64_t done_ = 0;
  std::vector<Found> found_;
  std::mutex guard_;
};

// The groups of all covers that mean something; several covers are reconciled.
inline Modules pooled(Study& study, const std::vector<Modules>& covers, const Random& random) {
  Modules pool;
  for (const Modules& cover : covers)
    for (const Module& module : cover)
      if (module.probability < 1) pool.push_back(module);
  drop_duplicates(pool);
  if (covers.size() > 1) settle_collection(study, pool, false, random);
  return pool;
}

inline void finish_level(Study& study, const LevelPlan& plan, const Random& random, LevelResult& result) {
  const Vertex num_vertices = study.graph.num_vertices();
  result.final_cover = pooled(study, result.covers, random.child(Phase::pool));
  if (!plan.keep_homeless) force_homeless(study, result.final_cover, random.child(Phase::homeless, 1));
  else assign_homeless(study, result.final_cover, Admission::cleaned, random.child(Phase::homeless, 0));
  if (plan.keep_homeless && plan.level == 0) {
    result.without_singletons = result.final_cover;
    force_homeless(study, result.without_singletons, random.child(Phase::homeless, 1));
    add_singletons(result.without_singletons, num_vertices);
  }
  add_singletons(result.final_cover, num_vertices);
}

inline LevelResult search_level(Team& team, const LevelPlan& plan, const Random& random) {
  LevelResult result;
  Judgements judgements(random.child(Phase::judgements));
  team.watch(plan.part_done);
  team.use(plan.runs > 1 ? &judgements : nullptr);
  result.covers = Covers(team, plan, random).all();
  with_helpers(team, [&](Study& study) { finish_level(study, plan, random, result); });
  team.use(nullptr);
  return result;
}

}  // namespace oslom

#endif  // OSLOM_SEARCH_H
