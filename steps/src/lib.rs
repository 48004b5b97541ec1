//! The step language.
#![no_std]
