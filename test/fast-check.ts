/** How the values of property tests come about, in all of them. */
import * as fc from 'fast-check';

// A bound that a test gives is meant: without this an array of up to 60 steps has three as a rule, and never more than ten.
fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true });
