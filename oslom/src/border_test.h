// The border test: which of the candidates belong to a group (METHOD.md 4.3, METHOD.md 4.4).
//
// Candidates are sorted by score. Walking up the ranks, the first candidate whose order statistic
// falls below xi is accepted with everything better than it; candidates that are equivalent to the
// last accepted one follow it. A block of equivalent candidates is accepted only if one of its
// vertices probably ends the process by itself (the ties rule).
#ifndef OSLOM_BORDER_TEST_H
#define OSLOM_BORDER_TEST_H

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "order_statistics.h"

namespace oslom {

struct Candidate {
  double score, half;  // uniform in [score - half, score + half]
  std::int32_t who;
  double low() const { return score - half; }
  double high() const { return score + half; }
};

// P(r2 < r1) for r1 uniform on (a,b) and r2 uniform on (c,d). Points count as intervals of length 0.
inline double overtaking(double a, double b, double c, double d) {
  if (c < a) return 1 - overtaking(c, d, a, b);
  if (c > b) return 0;
  if (a == b) return c == d ? 0.5 : 0;
  if (d > b) return (b - c) * (b - c) / (2 * (d - c) * (b - a));
  return (b - (c + d) / 2) / (b - a);
}

// False if no candidate can be significant, in whatever order, by a look that costs less than sorting. Candidates are
// counted by the size of their score, on a scale whose steps are an eighth at most: the largest rank that a score
// of one step can have is the number of scores up to this step, and critical scores grow with the rank.
inline bool may_accept(const std::vector<Candidate>& candidates, CriticalScores& critical) {
  std::array<std::uint16_t, ScoreScale::steps> counts{};
  if (candidates.size() > 0xffff) return true;
  for (const Candidate& candidate : candidates) ++counts[ScoreScale::step(candidate.score)];
  Count rank = 0;
  for (std::size_t step = 0; rank < static_cast<Count>(candidates.size()); ++step)
    if (counts[step] > 0 && critical.step(rank += counts[step]) >= step) return true;
  return false;
}

// The same, by mid scores that are sorted.
inline bool any_significant(const std::vector<Candidate>& sorted, CriticalScores& critical) {
  for (std::size_t i = 0; i < sorted.size(); ++i)
    if (critical.significant(static_cast<Count>(i) + 1, sorted[i].score * (1 - 1e-5))) return true;
  return false;
}

struct BorderVerdict {
  std::size_t accepted;  // the first so many candidates
  double probability;    // bs
};

class BorderTest {
 public:
  BorderTest(const std::vector<Candidate>& sorted, CriticalScores& critical, const Binomial& binomial)
      : sorted_(sorted), critical_(critical), binomial_(binomial) {}

  BorderVerdict run() {
    for (std::size_t i = 0; i < sorted_.size(); ++i)
      if (!take(i)) break;
    if (!stopped_ && accepted_ > 0 && !ties_pass()) accepted_ = 0;
    return {accepted_, accepted_ > 0 ? border_probability(critical_.n(), best_) : 1.0};
  }

 private:
  // Examines candidate i; false when the process stops before it.
  bool take(std::size_t i) {
    const Count rank = static_cast<Count>(i) + 1;
    const bool significant = critical_.significant(rank, sorted_[i].score);
    if (accepted_ == 0 && !significant) return true;
    const double omega = binomial_.at_least(critical_.n(), rank, sorted_[i].score);
    best_ = std::min(best_, omega);
    if (accepted_ > 0 && ends_before(i, significant)) {
      if (ties_pass()) return !(stopped_ = true);
      accepted_ = 0;
    }
    if (significant) accepted_ = i + 1, best_ = omega;
    return true;
  }

  // Whether the last accepted candidate (rank i) may be the end of the process.
  bool ends_before(std::size_t i, bool significant) {
    if (!significant) return true;
    const Candidate& last = sorted_[i - 1];
    const double after = overtaking(last.low(), last.high(), sorted_[i].low(), sorted_[i].high());
    if (after > 0.4999) return false;
    return after == 0 || (1 - after) * ending_probability(last, static_cast<Count>(i)) > 0.5001;
  }

  // The probability that a candidate of this rank alone is beyond doubt.
  double ending_probability(const Candidate& last, Count rank) {
    const double critical = critical_.critical(rank);
    if (last.high() <= critical) return 1;
    return (std::max(critical, last.score) - last.low()) / (last.high() - last.low());
  }

  // The block of candidates equivalent to the last accepted one, as uniforms on a common interval.
  bool ties_pass() {
    const Candidate& last = sorted_[accepted_ - 1];
    std::size_t first = accepted_, collected = 0;
    double low = 0, high = 0;
    for (std::size_t i = accepted_; i-- > 0;) {
      if (overtaking(last.low(), last.high(), sorted_[i].low(), sorted_[i].high()) <= 0.33) continue;
      first = i;
      ++collected;
      low += sorted_[i].low();
      high += sorted_[i].high();
    }
    if (collected == 0 || accepted_ - first == 1) return true;
    const double size = static_cast<double>(accepted_ - first);
    return block_ends(static_cast<Count>(first), static_cast<Count>(accepted_ - first), low / size, high / size);
  }

  bool block_ends(Count first, Count size, double low, double high) {
    double previous = low;
    for (Count e = 1; e <= size; ++e) {
      const double critical = critical_.critical(first + e);
      if (previous > critical) continue;
      if (high <= critical) return true;
      if (binomial_.at_least(size, e, (critical - low) / (high - low)) > 0.5) return true;
      previous = critical;
    }
    return false;
  }

  const std::vector<Candidate>& sorted_;
  CriticalScores& critical_;
  const Binomial& binomial_;
  std::size_t accepted_ = 0;
  double best_ = 1;
  bool stopped_ = false;
};

}  // namespace oslom

#endif  // OSLOM_BORDER_TEST_H
