// With this file the program is one with cgo.
package main

import "C"
