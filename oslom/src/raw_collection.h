// From a graph to significant groups (METHOD.md 6.2, METHOD.md 6.3): raw groups from a label pass, each cleaned;
// groups that are not significant are clustered and their unions tried, twice.
#ifndef OSLOM_RAW_COLLECTION_H
#define OSLOM_RAW_COLLECTION_H

#include <vector>

#include "cleanup.h"
#include "collection.h"
#include "judgements.h"
#include "label_pass.h"
#include "team.h"

namespace oslom {

constexpr std::size_t largest_inflated = 999;

// What a raw group becomes: one module, or none.
inline Modules significant_part(Study& study, const Members& raw, Random random) {
  Cleaner cleaner(study, random);
  Module module = raw.size() <= largest_inflated ? cleaner.inflate(raw) : cleaner.search_and_check(raw);
  return module.empty() ? Modules{} : Modules{std::move(module)};
}

// A label pass over groups: the sets of two or more that belong together.
inline std::vector<Members> clusters_of(const Graph& modules, Study& study, Random random) {
  if (modules.num_edges() == 0) return {};
  const Scores scores(modules.weighted(), study.probabilities.tails);
  std::vector<Members> sets = LabelPass(modules, scores, random).run();
  sets.erase(std::remove_if(sets.begin(), sets.end(), [](const Members& set) { return set.size() < 2; }), sets.end());
  return sets;
}

inline Members union_of(const Members& which, const std::vector<Members>& groups) {
  std::vector<const Members*> lists;
  for (Vertex group : which) lists.push_back(&groups[group]);
  return union_of(lists);
}

// Tries unions of the discarded groups; what fails is left in `discarded`.
inline void merge_discarded(Study& study, std::vector<Members>& discarded, Modules& good, const Random& random) {
  std::sort(discarded.begin(), discarded.end());
  discarded.erase(std::unique(discarded.begin(), discarded.end()), discarded.end());
  std::vector<const Members*> lists;
  for (const Members& group : discarded) lists.push_back(&group);
  const Graph modules = module_graph(study.graph, lists);
  const std::vector<Members> sets = clusters_of(modules, study, random.child(Phase::label_pass));
  std::vector<Members> failed;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    Members all = union_of(sets[i], discarded);
    Random own = random.child(Phase::raw_group, i);
    Module module = Cleaner(study, own).check(all);
    if (module.empty()) failed.push_back(std::move(all));
    else good.push_back(std::move(module));
  }
  discarded = std::move(failed);
}

inline Modules raw_collection(Study& study, const Random& random) {
  Modules good;
  if (study.graph.total_stubs() == 0) return good;
  std::vector<Members> discarded;
  const std::vector<Members> raw = LabelPass(study.graph, study.scores, random.child(Phase::label_pass)).run();
  std::vector<Modules> found(raw.size());
  for_each_part(study, raw.size(), [&](std::int64_t index, Study& own) {
    const std::size_t i = static_cast<std::size_t>(index);
    found[i] = judged(own, Phase::raw_group, raw[i], random, i,
                      [&](const Random& draws) { return significant_part(own, raw[i], draws); });
  });
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (found[i].empty()) discarded.push_back(raw[i]);
    else good.push_back(std::move(found[i].front()));
  }
  for (std::uint64_t round = 0; round < 2; ++round)
    merge_discarded(study, discarded, good, random.child(Phase::merge, round));
  return good;
}

}  // namespace oslom

#endif  // OSLOM_RAW_COLLECTION_H
