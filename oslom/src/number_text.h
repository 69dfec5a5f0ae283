// Numbers in text: strict reading of a whole token, and the six digits of the tp format.
#ifndef OSLOM_NUMBER_TEXT_H
#define OSLOM_NUMBER_TEXT_H

#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace oslom {

inline std::size_t skip_digits(const std::string& text, std::size_t from) {
  while (from < text.size() && text[from] >= '0' && text[from] <= '9') ++from;
  return from;
}

// [sign] digits [. digits] [e [sign] digits], with at least one digit before the exponent.
inline bool is_decimal(const std::string& text) {
  const std::size_t start = !text.empty() && (text[0] == '+' || text[0] == '-') ? 1 : 0;
  std::size_t at = skip_digits(text, start), digits = at - start;
  if (at < text.size() && text[at] == '.') {
    const std::size_t after = skip_digits(text, at + 1);
    digits += after - at - 1;
    at = after;
  }
  if (digits == 0) return false;
  if (at == text.size()) return true;
  if (text[at] != 'e' && text[at] != 'E') return false;
  ++at;
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
  return at < text.size() && skip_digits(text, at) == text.size();
}

// A finite number; too large ones are refused.
inline bool read_real(const std::string& text, double& value) {
  if (!is_decimal(text)) return false;
  value = std::strtod(text.c_str(), nullptr);
  return std::isfinite(value);
}

enum class WholeNumber { good, not_a_number, not_whole, negative, too_large };

inline bool only_digits(const std::string& text, std::size_t from) {
  return from < text.size() && skip_digits(text, from) == text.size();
}

// 0 .. 2^63-1 written with digits, or as a real number ("5.0", "1e3") while that is exact.
inline WholeNumber read_whole(const std::string& text, std::int64_t& value) {
  if (!is_decimal(text)) return WholeNumber::not_a_number;
  if (only_digits(text, text[0] == '+' ? 1 : 0)) {
    errno = 0;
    value = std::strtoll(text.c_str(), nullptr, 10);
    return errno == ERANGE ? WholeNumber::too_large : WholeNumber::good;
  }
  const double real = std::strtod(text.c_str(), nullptr);
  if (real < 0) return WholeNumber::negative;
  if (real >= 0x1p53) return WholeNumber::too_large;
  if (real != std::floor(real)) return WholeNumber::not_whole;
  value = static_cast<std::int64_t>(real);
  return WholeNumber::good;
}

inline std::string six_digits(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

// "1 edge", "2 edges".
inline std::string counted(std::size_t count, const std::string& one, const std::string& more) {
  return std::to_string(count) + " " + (count == 1 ? one : more);
}

// A piece of input as it may be shown in a message: short, printable whatever the encoding; other bytes as \xHH.
inline std::string shown(const std::string& text) {
  std::string safe;
  for (char c : text.substr(0, 40)) {
    char code[5];
    std::snprintf(code, sizeof code, "\\x%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
    safe += c >= ' ' && c <= '~' ? std::string(1, c) : code;
  }
  return "\"" + safe + (text.size() > 40 ? "...\"" : "\"");
}

}  // namespace oslom

#endif  // OSLOM_NUMBER_TEXT_H
