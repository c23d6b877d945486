// Package edl reads contracts written in EDL, the language of secGear, the
// Intel SGX SDK and Open Enclave, and writes them as Go contracts.
//
// Reading goes in steps, each of which reports all faults it can find with
// file, line and column: a lexer and preprocessor ([Options.Defines], #if and
// its kin, #define), a parser to a syntax tree ([File]), imports, the checks of
// the [Dialect] ([Options.Dialect]: what the original generator refuses is
// refused, in its words), and the translation to Go ([Enclave.Go]). What a Go
// contract can't say in types alone, such as a length that another argument
// gives, is said with //secgear:check directives, which package gowrite turns
// into code.
//
// docs/edl.md lists what becomes of each construct.
package edl
