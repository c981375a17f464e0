# What kcfix is measured against by `make bench`, beside what a drill runs on already: kcat, and a library that tells a
# single program, by a hosts file of its own, where the broker's name leads.

rivals() {
  if have kcat && has_nss_wrapper; then
    return
  fi
  install "kcat, kcfix's rival in the bench," kcat libnss-wrapper
  have kcat && has_nss_wrapper || fail "kcat or libnss_wrapper.so can't be found, although their packages are installed"
}

has_nss_wrapper() { compgen -G '/usr/lib/*/libnss_wrapper.so' >/dev/null || [ -e /usr/lib/libnss_wrapper.so ]; }
