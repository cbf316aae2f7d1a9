/* escape: layers=always cause=compile_error */
package main

import _ "embed"

//go:embed secret
var text string

func main() {
	println(text)
}
