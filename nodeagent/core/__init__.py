"""The data plane's pure logic, under the brain's ban: no clock, no chance, no input or output."""
