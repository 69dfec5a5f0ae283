// Levels (METHOD.md 8): the modules of one level are the vertices of the next, whose graph is the graph of
// the modules, until that stops shrinking.
#ifndef OSLOM_HIERARCHY_H
#define OSLOM_HIERARCHY_H

#include <memory>
#include <new>
#include <vector>

#include "level.h"
#include "search.h"

namespace oslom {

struct HierarchyPlan {
  LevelPlan first;             // level 0
  std::int64_t higher_runs;    // of all other levels
  int threads;
};

constexpr double shrinks_enough = 0.95;

class Hierarchy {
 public:
  Hierarchy(const Graph& graph, const Parameters& parameters, HierarchyPlan plan, std::uint64_t seed)
      : input_(graph), parameters_(parameters), plan_(std::move(plan)), seed_(seed),
        log_factorial_(std::max<std::int64_t>(graph.total_stubs(), graph.num_vertices()) + 1) {}

  void watch(Progress progress, Team::PartDone part_done) {
    plan_.first.progress = std::move(progress);
    plan_.first.part_done = std::move(part_done);
  }

  std::vector<Level> search() {
    std::vector<Level> levels;
    std::shared_ptr<const Graph> graph;
    do {
      levels.push_back(level_of(graph ? *graph : input_, levels));
      graph = levels.back().next;
    } while (goes_on(levels));
    return levels;
  }

  const LogFactorial& log_factorial() const { return log_factorial_; }

 private:
  Level level_of(const Graph& graph, const std::vector<Level>& below) {
    Level level;
    level.number = static_cast<std::int64_t>(below.size());
    level.result = result_of(graph, level.number);
    const Modules& found = level.result.final_cover;
    level.merged = found.size() != static_cast<std::size_t>(graph.num_vertices());
    level.in_input = below.empty() ? found : in_members_of(below.back().in_input, found);
    level.next = std::make_shared<const Graph>(module_graph(graph, member_lists(found)));
    return level;
  }

  // No result depends on the number of threads: where all of them need more memory than there is, fewer do.
  LevelResult result_of(const Graph& graph, std::int64_t level) {
    const Random random = Random(seed_).child(Phase::level, static_cast<std::uint64_t>(level));
    for (;; plan_.threads /= 2) {
      try {
        Team team(graph, parameters_, log_factorial_, plan_.threads, InflationSizes(input_));
        return search_level(team, plan_for(level), random);
      } catch (const std::bad_alloc&) {
        if (plan_.threads <= 1) throw;
      }
    }
  }

  LevelPlan plan_for(std::int64_t level) const {
    if (level == 0) return plan_.first;
    LevelPlan plan;
    plan.runs = plan_.higher_runs;
    plan.keep_homeless = true;
    plan.progress = plan_.first.progress;
    plan.part_done = plan_.first.part_done;
    plan.level = level;
    return plan;
  }

  // Modules of modules as modules of the vertices in them.
  static Modules in_members_of(const Modules& below, const Modules& modules) {
    Modules result;
    for (const Module& module : modules) {
      std::vector<const Members*> lists;
      for (Vertex part : module.members) lists.push_back(&below[part].members);
      result.push_back({union_of(lists), module.probability});
    }
    return result;
  }

  bool goes_on(const std::vector<Level>& levels) const {
    const Vertex before = levels.size() == 1 ? input_.num_vertices() : levels[levels.size() - 2].next->num_vertices();
    const Vertex now = levels.back().next->num_vertices();
    return now > 2 && now < shrinks_enough * before;
  }

  const Graph& input_;
  const Parameters parameters_;
  HierarchyPlan plan_;
  std::uint64_t seed_;
  LogFactorial log_factorial_;
};

}  // namespace oslom

#endif  // OSLOM_HIERARCHY_H
