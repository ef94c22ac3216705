// Asio's and Beast's own code, compiled once here (BOOST_ASIO_SEPARATE_COMPILATION and
// BOOST_BEAST_SEPARATE_COMPILATION are set for all who use this folder).
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
