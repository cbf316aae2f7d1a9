/* escape: layers=view */
package main

import ("fmt"; "os")

func main() {
	text, _ := os.ReadFile("/..@DIR@/secret")
	fmt.Println(string(text))
	os.Exit(1)
}
