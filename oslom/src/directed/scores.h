// The score of a vertex in a directed graph: how surprising its arcs to and from a group are (METHOD.md
// 9).
//
// Arcs from the group and arcs to the group have a tail probability each, hypergeometric:
//   r_in from (in; k_in, O_out, T_in),  r_out from (out; k_out, O_in, T_out),
// where O_out arcs leave the group for the T_in in-stubs of the vertices outside, and O_in arrive from
// their T_out out-stubs. The score is the probability of a product of uniforms as small as r_in r_out
// or, weighted, as r_in W_in r_out W_out; a vertex without stubs of one direction is judged by the other.
// The twin of undirected/scores.h: same names, other null model.
#ifndef OSLOM_DIRECTED_SCORES_H
#define OSLOM_DIRECTED_SCORES_H

#include <algorithm>
#include <cmath>

#include "graph.h"
#include "random.h"
#include "weight_tails.h"

namespace oslom {

// A group as a vertex outside of it sees it.
struct Outside {
  Stubs leaving, total_in;     // O_out, T_in: for the arcs from the group to the vertex
  Stubs arriving, total_out;   // O_in, T_out: for the arcs from the vertex to the group
  Stubs vertices;              // Q: number of outside vertices
  Stubs border;                // B: number of them with an arc to or from the group

  // The same after a member has been taken out.
  Outside without(const Degree& k, const Links& links) const {
    const Stubs inside = links.in + links.out;
    return {leaving + inside - k.out, total_in + k.in, arriving + inside - k.in,
            total_out + k.out,        vertices + 1,    border + 1};
  }
};

// What a group adds up to.
struct GroupTotals {
  Stubs in = 0, out = 0, inside = 0;  // K_in, K_out, I

  // For every member of a group that is complete, or for members that join or leave one by one.
  void count(const Degree& k, const Links& links) { in += k.in, out += k.out, inside += links.in; }
  void add(const Degree& k, const Links& links) { in += k.in, out += k.out, inside += links.in + links.out; }
  void remove(const Degree& k, const Links& links) { in -= k.in, out -= k.out, inside -= links.in + links.out; }

  bool operator==(const GroupTotals& other) const {
    return in == other.in && out == other.out && inside == other.inside;
  }

  Outside outside(const Graph& graph, Stubs size, Stubs border) const {
    return {out - inside, graph.total_stubs() - in, in - inside, graph.total_stubs() - out, graph.num_vertices() - size,
            border};
  }
};

class Scores {
 public:
  Scores(bool weighted, Tails& tails) : weighted_(weighted), tails_(tails) {}

  bool weighted() const { return weighted_; }

  // The part of a score that depends on the links alone: how surprising their weights are. 1 in unweighted graphs.
  double weight_part(const Links& links) const {
    return weighted_ ? std::max(weight_tail(links.z_in, links.in) * weight_tail(links.z_out, links.out), smallest_score)
                     : 1;
  }

  // Keys order vertices as mid scores do, without their logarithm: products of the directions and weights. `w` is the
  // weight part of the links; a key above `bound` may be replaced by a smaller one that is above it, too.
  double key(const Links& links, const Degree& k, double w, const Outside& outside, double bound = 2) const {
    const Tail in = tail_in(links, k, outside), out = tail_out(links, k, outside);
    // With one direction a key is found in many steps, and whether it is above the bound in one.
    if ((k.in == 0 || k.out == 0) && bound < 1 &&
        score_from(in, out, k, w, outside, 0.5) > (1 + 1e-9) * score_of(bound))
      return std::nextafter(bound, 1.0);
    return key_from(in, out, k, w, outside);
  }

  // The same where no other vertex is asked about the same group.
  double single_key(const Links& links, const Degree& k, double w, const Outside& outside) const {
    return key_from(single_tail_in(links, k, outside), single_tail_out(links, k, outside), k, w, outside);
  }
  // The key is not below it; in a few multiplications.
  double key_floor(const Links& links, const Degree& k, double w, const Outside& outside) const {
    if (k.in == 0 || k.out == 0) return smallest_score;
    const double factor = factor_of(outside);
    const double in = r_floor(links.in, k.in, outside.leaving, outside.total_in) * factor;
    const double out = r_floor(links.out, k.out, outside.arriving, outside.total_out) * factor;
    return std::max(std::min(in, 1.0) * std::min(out, 1.0) * w, smallest_score);
  }

  // A member is scored as if it were taken out.
  double member_key(const Links& links, const Degree& k, double w, const Outside& outside) const {
    const Outside without = outside.without(k, links);
    return single_key(links, k, w, without);
  }
  double member_at_step(const Links& links, const Degree& k, double w, const Outside& outside, double step) const {
    const Outside without = outside.without(k, links);
    return score_from(single_tail_in(links, k, without), single_tail_out(links, k, without), k, w, without, step);
  }
  double member_mid(const Links& links, const Degree& k, const Outside& outside) const {
    return member_at_step(links, k, weight_part(links), outside, 0.5);
  }

  // While a group loses members the tails of either direction fall no faster than its density O/T to a power, as in
  // undirected graphs. The density here is the product of both: neither has fallen further than it has. A direction
  // without stubs has next to none, and keeps it.
  static double density(const Outside& least, const Outside& outside) {
    return density_of(least.leaving, outside.total_in) * density_of(least.arriving, outside.total_out);
  }
  static void keep_least(Outside& least, const Outside& outside) {
    least.leaving = std::min(least.leaving, outside.leaving);
    least.arriving = std::min(least.arriving, outside.arriving);
  }

  // Outsider by outsider, the density down to which its key stays above `bound`, if its links are no more; infinite if
  // none is known. `least_factor`: the border factor is never smaller.
  class SafeDensity {
   public:
    SafeDensity(const Scores& scores, const Outside& outside, double least_factor, double bound)
        : scores_(scores), outside_(outside), bound_(bound), single_bound_(scores.single_product_of(bound)),
          density_(density(outside, outside)),
          factor_fall_(scores.weighted_ ? least_factor / border_factor(outside.vertices, outside.border) : 1) {}

    double operator()(double key, const Links& links, const Degree& k) const {
      Direction in = direction(links.in, k.in, outside_.leaving, outside_.total_in);
      Direction out = direction(links.out, k.out, outside_.arriving, outside_.total_out);
      if (k.in > 0 && k.out > 0) return safe(key / bound_ * factor_fall_ * factor_fall_, in, out);
      const double factor = scores_.factor_of(outside_);  // of one direction the key is no simple product
      const Tail tail = k.in > 0 ? scores_.tail_in(links, k, outside_) : scores_.tail_out(links, k, outside_);
      return safe(side(tail, 0.5 * tail.at, factor).r * scores_.weight_part(links) / single_bound_ * factor_fall_, in,
                  out);
    }

   private:
    // A tail at a share s of the density is not below ( 1 - slope (1-s) )^power times `least`.
    struct Direction {
      double power, slope, least;
    };
    static Direction direction(Stubs x, Stubs k, Stubs O, Stubs T) {
      if (k == 0 || O == 0) return {0, 1, 1};
      const double y = static_cast<double>(x + 1), stubs = static_cast<double>(O);
      return {y, stubs / (stubs - y + 1), 1 - 2 * y * y / static_cast<double>(T)};
    }

    // Down to which density something so much above its bound stays above it.
    double safe(double times, const Direction& in, const Direction& out) const {
      const double root = std::sqrt(times * in.least * out.least), slope = std::max(in.slope, out.slope);
      if (!(root > 1) || !(std::min(in.least, out.least) > 0) || !(std::min(in.slope, out.slope) > 0) ||
          std::isinf(slope))
        return never_safe;
      const double power = in.power + out.power;  // share^power >= exp(-4 (root-1)/(root+1)) >= 1 / root^2
      const double share = power * (root + 1) / (power * (root + 1) + 4 * (root - 1));
      return density_ * (1 - (1 - share) / slope);
    }

    const Scores& scores_;
    const Outside& outside_;
    double bound_, single_bound_, density_, factor_fall_;
  };

  // Member by member, a number such that no key, divided by its weight part, is above exp(-number): the bounds of both
  // directions.
  class MemberFall {
   public:
    MemberFall(const Scores& scores, const Outside& outside)
        : outside_(outside),
          log_factor_(scores.weighted_ ? std::log(border_factor(outside.vertices + 1, outside.border + 1)) : 0) {}

    double operator()(const Links& links, const Degree& k) const {
      const Outside without = outside_.without(k, links);
      return fall(links.in, k.in, without.leaving, without.total_in) +
             fall(links.out, k.out, without.arriving, without.total_out);
    }

   private:
    double fall(Stubs x, Stubs k, Stubs O, Stubs T) const {
      return k == 0 ? 0 : std::max(tail_fall(x, k, O, T, false) - log_factor_, 0.0);
    }

    const Outside& outside_;
    double log_factor_;
  };

  // The key of a vertex with this score, and the score of one with this key.
  double key_of(double score) const {
    if (score >= 1) return score;
    return weighted_ ? product_of_four_with(score) : product_of_two_with(score);
  }
  double score_of(double key) const {
    if (key <= smallest_score) return smallest_score;
    return weighted_ ? std::clamp(product_of_four_tail(key, -std::log(key)), smallest_score, 1.0) : product_tail(key);
  }

  // Grows with the score of an outside vertex at a given place of its interval: here it is the score.
  double at_step(const Links& links, const Degree& k, double w, const Outside& outside, double step) const {
    return score_from(tail_in(links, k, outside), tail_out(links, k, outside), k, w, outside, step);
  }
  double mid(const Links& links, const Degree& k, const Outside& outside) const {
    return at_step(links, k, weight_part(links), outside, 0.5);
  }

  // The interval for the border test. A tiny jitter orders equal vertices at random, anew each time.
  ScoreInterval test(const Links& links, const Degree& k, double w, const Outside& outside, Random& random) const {
    const double factor = factor_of(outside);
    const Tail in = tail_in(links, k, outside), out = tail_out(links, k, outside);
    const Side from = side(in, jittered(in, random), factor), to = side(out, jittered(out, random), factor);
    return combined(from, to, k, w);
  }

  // For homeless vertices (METHOD.md 7.2): the better direction, each the better of topology and weights.
  double homeless(const Links& links, const Degree& k, const Outside& outside) const {
    return std::min(homeless_side(single_tail_in(links, k, outside), k.in, links.in, links.z_in),
                    homeless_side(single_tail_out(links, k, outside), k.out, links.out, links.z_out));
  }

  // For the label pass: the random score of a vertex for another module or its own, with the border
  // size only estimated. Nothing is remembered: one use per state.
  double label_key(const Links& links, const Degree& k, const Outside& group, bool own, double, Random& random) const {
    const Outside outside = own ? group.without(k, links) : group;
    const Stubs border = std::min(group.vertices, (outside.leaving + outside.arriving) / (links.in + links.out) + 1);
    const double factor = weighted_ ? border_factor(group.vertices, border) : 1;
    const Tail in = tails_.memo.formulas()(links.in, k.in, outside.leaving, outside.total_in);
    const Tail out = tails_.memo.formulas()(links.out, k.out, outside.arriving, outside.total_out);
    const double step = random.uniform();
    return combined(side(in, step * in.at, factor), side(out, step * out.at, factor), k, weight_part(links)).score *
           (own ? own_bonus : 1);
  }

 private:
  // One direction: r and the half width of its interval.
  struct Side {
    double r, half;
  };

  // Outside vertices share what the group shows; a member taken out sees a group of its own.
  Tail tail_in(const Links& links, const Degree& k, const Outside& outside) const {
    return tails_.outside(links.in, k.in, outside.leaving, outside.total_in);
  }
  Tail tail_out(const Links& links, const Degree& k, const Outside& outside) const {
    return tails_.outside_reverse(links.out, k.out, outside.arriving, outside.total_out);
  }
  Tail single_tail_in(const Links& links, const Degree& k, const Outside& outside) const {
    return tails_.memo(links.in, k.in, outside.leaving, outside.total_in);
  }
  Tail single_tail_out(const Links& links, const Degree& k, const Outside& outside) const {
    return tails_.memo(links.out, k.out, outside.arriving, outside.total_out);
  }

  static double density_of(Stubs O, Stubs T) {
    return std::max(static_cast<double>(O), 1e-30) / static_cast<double>(T);
  }

  // Of a vertex with one direction: its r, times the weight part, where it has this key.
  double single_product_of(double key) const {
    const double score = score_of(key);
    return weighted_ && score < 1 ? product_of_two_with(score) : score;
  }

  double factor_of(const Outside& outside) const {
    return weighted_ ? border_factor(outside.vertices, outside.border) : 1;
  }

  double key_from(const Tail& in, const Tail& out, const Degree& k, double w, const Outside& outside) const {
    if (k.in == 0 || k.out == 0) return key_of(score_from(in, out, k, w, outside, 0.5));
    const double factor = factor_of(outside);
    return std::max(side(in, 0.5 * in.at, factor).r * side(out, 0.5 * out.at, factor).r * w, smallest_score);
  }

  // R(x+1) + h(x)/2 is not below it: above 1/2 with fewer links than expected.
  static double r_floor(Stubs x, Stubs k, Stubs O, Stubs T) {
    return 0.49 * (below_expectation(x, k, O, T) ? 1 : TailFormulas::hypergeometric_floor(x, k, O, T));
  }

  double score_from(const Tail& in, const Tail& out, const Degree& k, double w, const Outside& outside,
                    double step) const {
    const double factor = factor_of(outside);
    return combined(side(in, step * in.at, factor), side(out, step * out.at, factor), k, w).score;
  }

  static double jittered(const Tail& tail, Random& random) { return (0.5 + 1e-6 * (random.uniform() - 0.5)) * tail.at; }

  // `factor` conditions on being in the border, in weighted graphs.
  static Side side(const Tail& tail, double part, double factor) {
    const double r = std::max(tail.above + part, smallest_score) * factor;
    return r > 1 ? Side{1, factor == 1 ? part : smallest_score} : Side{r, part * factor};
  }

  ScoreInterval combined(const Side& in, const Side& out, const Degree& k, double w) const {
    if (k.in == 0 && k.out == 0) return {1, 0};
    if (k.in == 0) return one_direction(out, w);
    if (k.out == 0) return one_direction(in, w);
    const double half = in.r * out.half + in.half * out.r;
    return weighted_ ? both_weighted(in, out, half, w) : both(in.r * out.r, half);
  }

  ScoreInterval one_direction(const Side& side, double w) const {
    if (!weighted_) return capped(side.r, side.half);
    if (side.r <= smallest_score || w <= smallest_score) return {smallest_score, smallest_score};
    return capped(std::max(product_tail(side.r * w), smallest_score), side.half * w * -std::log(side.r * w));
  }

  static ScoreInterval both(double product, double half) {
    if (product <= smallest_score) return {smallest_score, smallest_score};
    return capped(product_tail(product), half * -std::log(product));
  }

  static ScoreInterval both_weighted(const Side& in, const Side& out, double half, double w) {
    const double product = in.r * out.r * w;
    if (product <= smallest_score) return {smallest_score, smallest_score};
    const double y = -std::log(product);
    return capped(std::clamp(product_of_four_tail(product, y), smallest_score, 1.0), half * w * y * y * y / 6);
  }

  double homeless_side(const Tail& tail, Stubs k, Stubs x, double z) const {
    if (k == 0) return 1;
    const double r = std::clamp(tail.above + 0.5 * tail.at, smallest_score, 1.0);
    return weighted_ ? std::min(r, weight_tail(z, x)) : r;
  }

  bool weighted_;
  Tails& tails_;
};

}  // namespace oslom

#endif  // OSLOM_DIRECTED_SCORES_H
