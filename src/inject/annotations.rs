//! The annotations of DESIGN 2: keys and values in, what is requested out, or every error at once.
