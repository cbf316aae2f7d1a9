template <int D, unsigned long P> struct T {
    T<D - 1, P * 2> a;
    T<D - 1, P * 2 + 1> b;
};
template <unsigned long P> struct T<0, P> {};
int main() { T<40, 1> t; (void)t; }
