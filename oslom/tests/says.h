// Whether a message contains a piece of text.
#ifndef OSLOM_TESTS_SAYS_H
#define OSLOM_TESTS_SAYS_H

#include <string>

inline bool says(const std::string& message, const std::string& piece) {
  return message.find(piece) != std::string::npos;
}

#endif  // OSLOM_TESTS_SAYS_H
