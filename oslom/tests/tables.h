// Tables that more than one test computes with.
#ifndef OSLOM_TESTS_TABLES_H
#define OSLOM_TESTS_TABLES_H

#include "order_statistics.h"

inline const oslom::LogFactorial log_factorial(20000);
inline const oslom::Binomial binomial(log_factorial);

#endif  // OSLOM_TESTS_TABLES_H
