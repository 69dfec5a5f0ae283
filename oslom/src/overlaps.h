// Strong overlaps between two modules (METHOD.md 6.8): near-duplicates lose one of the two; the rest
// is decided by cleaning both within their union. A new pair replaces the old one only if it
// overlaps less and still covers most of the union.
#ifndef OSLOM_OVERLAPS_H
#define OSLOM_OVERLAPS_H

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "unions.h"

namespace oslom {

constexpr double strong_overlap = 0.05;
constexpr double required_decrease = 1e-4;

inline double overlap_ratio(const Members& a, const Members& b) {
  return static_cast<double>(common_members(a, b)) / static_cast<double>(std::min(a.size(), b.size()));
}

class OverlapResolver {
 public:
  OverlapResolver(Study& study, Modules& modules, const Random& random)
      : study_(study), modules_(modules), alive_(modules.size(), 1), random_(random) {}

  void run() {
    for (const std::pair<std::size_t, std::size_t>& pair : strong_pairs()) settle(pair.first, pair.second, 0);
    keep_only(modules_, alive_);
  }

 private:
  using Pair = std::pair<std::size_t, std::size_t>;

  std::vector<Pair> strong_pairs() const {
    const Overlaps overlaps(modules_, study_.graph.num_vertices());
    std::vector<Pair> pairs;
    for (std::size_t a = 0; a < modules_.size(); ++a)
      for (const Overlaps::Shared& shared : overlaps.of(a)) {
        const std::size_t b = static_cast<std::size_t>(shared.other);
        const double smaller = static_cast<double>(std::min(modules_[a].size(), modules_[b].size()));
        if (b > a && shared.vertices > strong_overlap * smaller) pairs.push_back({a, b});
      }
    return pairs;
  }

  void settle(std::size_t a, std::size_t b, int depth) {
    if (!alive_[a] || !alive_[b]) return;
    const double ratio = overlap_ratio(modules_[a].members, modules_[b].members);
    if (ratio <= strong_overlap) return;
    if (ratio >= half_covered) alive_[weaker(a, b)] = 0;
    else resolve(a, b, ratio, depth);
  }

  // Of near-duplicates the more significant stays; if equally significant, the larger.
  std::size_t weaker(std::size_t a, std::size_t b) const {
    const Module &first = modules_[a], &second = modules_[b];
    if (first.probability != second.probability) return first.probability < second.probability ? b : a;
    return first.size() < second.size() ? a : b;
  }

  void resolve(std::size_t a, std::size_t b, double ratio, int depth) {
    const Members all = united(modules_[a].members, modules_[b].members);
    if (all.size() == static_cast<std::size_t>(study_.graph.num_vertices())) return;
    Random random = random_.child(Phase::resolve, resolved_++);
    Members first = modules_[a].members, second = modules_[b].members;
    clean_within(all, first, second, random);
    const double cleaned = static_cast<double>(united(first, second).size());
    if (cleaned <= study_.parameters.parts_cover * static_cast<double>(all.size())) merge(a, b, all, random);
    else separate(a, b, {first, second}, all.size(), ratio, random, depth);
  }

  // Both groups, cleaned in the subgraph of their union.
  void clean_within(const Members& all, Members& first, Members& second, Random& random) {
    const Graph graph = induced_subgraph(study_.graph, all, study_.map);
    Study inner(graph, study_.parameters, study_.probabilities);
    const Members local_first = to_local(first, study_.map), local_second = to_local(second, study_.map);
    Cleaner cleaner(inner, random);
    first = to_parent(cleaner.check(local_first).members, all);
    second = to_parent(cleaner.check(local_second).members, all);
  }

  void merge(std::size_t a, std::size_t b, const Members& all, Random& random) {
    Module whole = Cleaner(study_, random).check_most(all);
    if (whole.empty()) return;
    alive_[a] = alive_[b] = 0;
    for (Module& module : minimal_modules(study_, {std::move(whole)}, random)) add(std::move(module));
  }

  // Cleaning only takes vertices away, so that the union is known to be too small as early as may be.
  void separate(std::size_t a, std::size_t b, const std::pair<Members, Members>& pair, std::size_t all, double ratio,
                Random& random, int depth) {
    const auto too_small = [all](const Members& one, const Members& other) {
      return static_cast<double>(united(one, other).size()) <= mostly * static_cast<double>(all);
    };
    if (too_small(pair.first, pair.second)) return;
    Module first = checked(pair.first, random);
    if (first.empty() || too_small(first.members, pair.second)) return;
    Module second = checked(pair.second, random);
    if (second.empty() || too_small(first.members, second.members)) return;
    if (overlap_ratio(first.members, second.members) >= ratio - required_decrease) return;
    alive_[a] = alive_[b] = 0;
    const std::size_t new_first = add(std::move(first)), new_second = add(std::move(second));
    if (depth < deepest) settle_again(new_first, new_second, depth + 1);
  }

  // CHECK in the whole graph. A module that overlaps with many others mostly comes here as it is, again and again.
  const Module& checked(const Members& group, Random& random) {
    const auto found = checked_.find(group);
    if (found != checked_.end()) return found->second;
    return checked_.emplace(group, Cleaner(study_, random).check(group)).first->second;
  }

  // The new pair against all other modules that were there before it.
  void settle_again(std::size_t first, std::size_t second, int depth) {
    const std::size_t others = std::min(first, second);
    for (std::size_t module : {first, second})
      for (std::size_t other = 0; other < others && alive_[module]; ++other)
        if (alive_[other]) settle(other, module, depth);
  }

  std::size_t add(Module module) {
    modules_.push_back(std::move(module));
    alive_.push_back(1);
    return modules_.size() - 1;
  }

  static constexpr int deepest = 10;

  Study& study_;
  Modules& modules_;
  std::vector<char> alive_;
  Random random_;
  std::uint64_t resolved_ = 0;
  std::map<Members, Module> checked_;
};

}  // namespace oslom

#endif  // OSLOM_OVERLAPS_H
